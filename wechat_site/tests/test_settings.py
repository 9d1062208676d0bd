"""The start with DEBUG off, in a fresh process as it would be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wechat_site.tests.launch import PRODUCTION, ROOT

pytestmark = pytest.mark.any_database


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
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL must begin with"),
        ({"MESSAGE_WINDOWS": "5 in 48 hours"}, "MESSAGE_WINDOWS must be JSON"),
        ({"MESSAGE_WINDOWS": '{"message": [5]}'}, "MESSAGE_WINDOWS must be JSON"),
        ({"MESSAGE_WINDOWS": '{"visit": [5, 60]}'}, "MESSAGE_WINDOWS must be JSON"),
        ({"FOLLOWER_SYNC_HOUR": "24"}, "FOLLOWER_SYNC_HOUR must be an hour from 0 to 23"),
        ({"FOLLOWER_SYNC_HOUR": "-1"}, "FOLLOWER_SYNC_HOUR must be an hour from 0 to 23"),
        ({"FOLLOWER_SYNC_HOUR": "³"}, "FOLLOWER_SYNC_HOUR must be an hour from 0 to 23"),
        ({"WECHAT_MP_BASE": "https://mp.weixin.qq.com/cgi-bin"}, "WECHAT_MP_BASE must be"),
        ({"EVENT_RETENTION_DAYS": "1"}, "EVENT_RETENTION_DAYS is shorter than a window"),
    ],
)
def test_what_is_missing_or_weak_stops_the_start_with_what_to_set(change, sentence):
    result = start(PRODUCTION | change)
    assert result.returncode != 0
    assert sentence in result.stderr


@pytest.mark.parametrize(("written", "hour"), [(None, "3"), ("0", "0"), ("23", "23"), ("", "None")])
def test_the_hour_of_the_follower_sync_can_be_chosen_or_left_out(written, hour):
    result = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from wechat_site import settings; print(settings.FOLLOWER_SYNC_HOUR)",
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]}
        | ({} if written is None else {"FOLLOWER_SYNC_HOUR": written}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == hour, result.stderr


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
