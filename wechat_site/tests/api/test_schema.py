"""What must hold of every operation in the OpenAPI schema."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest

PICTURES = {"image/png", "image/svg+xml", "application/octet-stream"}
PROBLEM = "application/problem+json"
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def check(document, schema, value):
    """Checks a value; OpenAPI 3.0 says `nullable` where JSON Schema has a type null."""
    text = json.dumps({**schema, "components": document["components"]})
    whole = _with_null(json.loads(text))
    jsonschema.Draft202012Validator(whole).validate(value)


def _with_null(schema):
    if isinstance(schema, list):
        return [_with_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _with_null(part) for name, part in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def contents(operation):
    yield from operation.get("requestBody", {}).get("content", {}).items()
    for status, answer in operation["responses"].items():
        assert ("content" in answer) == (status != "204")
        yield from answer.get("content", {}).items()


def test_every_body_and_answer_has_an_example_that_is_one(document):
    for name, operation in operations(document):
        for kind, content in contents(operation):
            if kind in PICTURES:
                continue
            assert content.get("examples"), (name, kind)
            for example in content["examples"].values():
                check(document, content["schema"], example["value"])
                shown = example["value"]
                if kind == "application/json" and "results" in shown:
                    assert shown["results"], name


def test_examples_of_answers_leave_out_no_field(document):
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            if not status.startswith("2") or content is None:
                continue
            (example,) = content["examples"].values()
            shown, schema = example["value"], content["schema"]
            while "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert set(shown) == set(schema["properties"]), name


def test_every_operation_says_how_it_refuses(document):
    for name, operation in operations(document):
        refusals = {status for status in operation["responses"] if status[0] in "45"}
        assert refusals >= {"400", "401", "403", "406", "429"}, name
        assert ("404" in refusals) >= ("{" in name), name
        assert ({"409", "415", "422", "413"} <= refusals) == name.startswith("POST"), name
        for status in refusals:
            content = operation["responses"][status]["content"]
            assert list(content) == [PROBLEM], name
            assert content[PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_every_parameter_has_its_type(document):
    texts = set()
    for name, operation in operations(document):
        assert operation["operationId"]
        assert operation["description"], name
        for parameter in operation.get("parameters", []):
            schema = parameter["schema"]
            place = (name, parameter["name"])
            match parameter["name"]:
                case each if each.endswith(("_after", "_before")):
                    expected = {"type": "string", "format": "date-time"}
                case "from" | "to":
                    expected = {"type": "string", "format": "date"}
                case "id" | "after_id" | "page_size" | "limit":
                    expected = {"type": "integer"}
                case "is_following" | "bound" | "active" | "mended":
                    expected = {"type": "boolean"}
                case "kind" | "status" | "state" | "source" | "types" | "retention_days":
                    expected = {"type": "array"}
                    assert (parameter["explode"], parameter["style"]) == (False, "form"), place
                case "account" if "/stats/" not in name or "/people/" in name:
                    expected = {"type": "array"}
                case _:
                    expected = {"type": "string"}
                    texts.add(parameter["name"])
            assert expected.items() <= schema.items(), place
    assert texts == {
        "Idempotency-Key", "account", "after", "by", "cursor", "direction", "event", "event_key",
        "first_scene", "format", "interval", "last_scene", "msg_type", "openid", "ordering",
        "scene", "slug", "tag", "unionid", "url", "user",
    }  # fmt: skip


def test_the_schema_is_english(document):
    # but for names of WeChat's, and an example of what is sent to a follower
    text = json.dumps({**document, "paths": None}, ensure_ascii=False)
    assert len(CHINESE.findall(text)) < 100
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            words = CHINESE.sub("", parameter.get("description", ""))
            assert words.isascii() or "…" in words, name


@pytest.mark.any_database
def test_nothing_is_left_out(document):
    tags = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert tags == {
        "accounts", "binding-links", "binding-requests", "bindings", "changes", "events",
        "messages", "scenes", "stats", "subscribers", "webhooks",
    }  # fmt: skip
