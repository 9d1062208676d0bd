"""The start with DEBUG off, in a fresh process as it would be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wechat_site.tests.launch import PRODUCTION, ROOT


def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_complete_production_configuration_passes_the_deployment_check():
    result = start(PRODUCTION)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY must be set"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is too weak"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY is too weak"),
        ({"FIELD_ENCRYPTION_KEYS": ""}, "FIELD_ENCRYPTION_KEYS must be set"),
        ({"FIELD_ENCRYPTION_KEYS": "not-a-key"}, "must be 32 random bytes"),
        (
            {"FIELD_ENCRYPTION_KEYS": "bG9jYWwtb25seS1rZXktcHJvdGVjdHMtbm90aGluZyE="},
            "public key of local starts",
        ),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS must be set"),
        ({"CSRF_TRUSTED_ORIGINS": "wechat.example.com"}, "must begin with http"),
        ({"DATABASE_URL": "mysql://root@localhost/x"}, "must begin with sqlite:// or postgres://"),
        ({"LANGUAGE_CODE": "fr"}, "LANGUAGE_CODE must be"),
        ({"WECHAT_API_BASE": "api.weixin.qq.com"}, "WECHAT_API_BASE must be an address"),
        ({"WECHAT_API_BASE": "http://127.0.0.1:9000"}, "WECHAT_API_BASE must begin with https"),
        ({"MESSAGE_WINDOWS": "5 in 48 hours"}, "MESSAGE_WINDOWS must be JSON"),
        ({"MESSAGE_WINDOWS": '{"message": [5]}'}, "MESSAGE_WINDOWS must be JSON"),
        ({"MESSAGE_WINDOWS": '{"visit": [5, 60]}'}, "MESSAGE_WINDOWS must be JSON"),
        ({"WECHAT_MP_BASE": "https://mp.weixin.qq.com/cgi-bin"}, "WECHAT_MP_BASE must be"),
    ],
)
def test_what_is_missing_or_weak_stops_the_start_with_what_to_set(change, sentence):
    result = start(PRODUCTION | change)
    assert result.returncode != 0
    assert sentence in result.stderr


def test_a_local_start_needs_nothing():
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
