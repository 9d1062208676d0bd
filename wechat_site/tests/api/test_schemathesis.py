"""The API answers as its schema says, to requests that the schema allows and that it does not."""

from __future__ import annotations

import contextlib

import hypothesis
import pytest
import schemathesis
from django.contrib.auth.models import User
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi

from events.models import ApiKey
from events.people.scopes import SCOPES
from wechat_site.tests.in_process import in_process
from wechat_site.tests.signin.world import make_rows

CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
]
# Requests of each kind to one operation. More find no more in a suite that runs often, since they
# are the same in each run; `python -m schemathesis` against a running site tries others.
REQUESTS = 3


@pytest.mark.slow
@pytest.mark.django_db
def test_answers_are_as_the_schema_says(document, settings):
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    make_rows("books", "Birch Books", "oOWNk5QmZb7LwR2nVc9Ys0DfHj4E", "words")
    _, key = ApiKey.issue(user=User.objects.create_superuser("alice"), scopes=list(SCOPES))
    headers = {"Authorization": f"Bearer {key}"}
    schema = schemathesis.openapi.from_dict(document)
    schema.app = in_process
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            tried += try_operation(operation, mode, headers)
    assert tried > 100


def try_operation(operation, mode, headers):
    tried = 0

    @hypothesis.settings(
        max_examples=REQUESTS,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def answers_as_described(case):
        nonlocal tried
        tried += 1
        case.call_and_validate(headers=headers, checks=CHECKS)

    # Of an operation that takes nothing, no request is wrong.
    with contextlib.suppress(hypothesis.errors.Unsatisfiable):
        answers_as_described()
    return tried
