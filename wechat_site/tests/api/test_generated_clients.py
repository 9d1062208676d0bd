"""Generators of clients take the schema as it is, without a warning, and the client works."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import uuid

import httpx
import pytest
from django.contrib.auth.models import User

from events.models import ApiKey, OfficialAccount
from events.people.scopes import SCOPES
from wechat_site.tests.in_process import in_process
from wechat_site.tests.signin.world import make_rows

OPENAPI_TYPESCRIPT = "openapi-typescript@7.10.1"


@pytest.fixture
def file(document, tmp_path):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def python_client(file, tmp_path, monkeypatch):
    """The package that openapi-python-client makes, imported."""
    name = f"client_{uuid.uuid4().hex}"
    (tmp_path / "config.json").write_text('{"post_hooks": []}')
    command = [
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--path", file, "--config", tmp_path / "config.json"),
        *("--meta", "none", "--output-path", tmp_path / name),
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "arning" not in made.stdout + made.stderr
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.mark.slow
def test_a_python_client_reads_and_writes(python_client, db):
    make_rows("books", "Birch Books", "oOWNk5QmZb7LwR2nVc9Ys0DfHj4E", "words")
    OfficialAccount.objects.update(app_secret="0" * 32)
    _, key = ApiKey.issue(user=User.objects.create_superuser("alice"), scopes=list(SCOPES))

    def call(module):
        return importlib.import_module(f"{python_client.__name__}.{module}")

    client = python_client.AuthenticatedClient(
        base_url="http://testserver",
        token=key,
        headers={"Accept-Language": "en"},
        httpx_args={"transport": httpx.WSGITransport(app=in_process)},
    )
    found = call("api.events.events_list").sync(client=client, account=["books"], mended=False)
    assert [(event.kind, event.payload["Content"]) for event in found.results] == [
        ("text", "words")
    ]
    assert found.results[0].event_time.tzinfo is not None
    body = call("models").NewQRSceneRequest(account="books", name="Spring poster", tags=["2026"])
    made = call("api.scenes.scenes_create").sync(client=client, body=body, idempotency_key="one")
    assert (made.name, made.tags, made.is_permanent) == ("Spring poster", ["2026"], True)
    refused = call("api.events.events_list").sync(client=client, account=["nope"])
    assert refused.errors["account"][0].code == "does_not_exist"


@pytest.mark.slow
@pytest.mark.any_database
def test_types_for_typescript_are_generated_without_a_warning(file, tmp_path):
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("there is no npx (Debian: apt-get install npm)")
    made = subprocess.run(
        [npx, "--yes", OPENAPI_TYPESCRIPT, file, "--output", tmp_path / "api.ts"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1", "npm_config_fetch_retries": "0"},
    )
    said = made.stdout + made.stderr
    if made.returncode and ("npm error" in said or "npm ERR!" in said):
        pytest.skip(f"npm cannot install the generator: {said.splitlines()[0]}")
    assert made.returncode == 0, said
    assert "⚠" not in said
    assert "arn" not in said
    types = (tmp_path / "api.ts").read_text()
    assert "NewMessageRequest" in types
