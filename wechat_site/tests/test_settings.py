"""The settings with DEBUG off; that a start stops with them is tried in fresh processes."""

from __future__ import annotations

import ast
import importlib
import itertools
import os
import re
import shutil
import stat
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command

from wechat_site.tests.launch import PRODUCTION, ROOT

pytestmark = pytest.mark.any_database


@pytest.fixture
def settings_with(monkeypatch):
    """Reads the settings as a process with that environment does."""

    def read(environment: dict[str, str]) -> dict[str, Any]:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in [name for name in sys.modules if name.startswith("wechat_site.settings")]:
            monkeypatch.delitem(sys.modules, name)
        return vars(importlib.import_module("wechat_site.settings"))

    return read


def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
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
        ({"EVENT_RETENTION_DAYS": "two"}, "EVENT_RETENTION_DAYS must be a whole number, not 'two'"),
        ({"CALLBACK_SECONDS": "soon"}, "CALLBACK_SECONDS must be a number, not 'soon'"),
        ({"BEHIND_TLS_PROXY": "ture"}, "BEHIND_TLS_PROXY must be True or False, not 'ture'"),
        ({"WECHAT_API_BASE": "api.weixin.qq.com"}, "WECHAT_API_BASE must be an address"),
        ({"WECHAT_API_BASE": "http://127.0.0.1:9000"}, "WECHAT_API_BASE must begin with https"),
        ({"MESSAGE_WINDOWS": "5 in 48 hours"}, "MESSAGE_WINDOWS must be JSON"),
        ({"MESSAGE_WINDOWS": '{"message": [5]}'}, "MESSAGE_WINDOWS must be JSON"),
        ({"MESSAGE_WINDOWS": '{"visit": [5, 60]}'}, "MESSAGE_WINDOWS must be JSON"),
        ({"FOLLOWER_SYNC_HOUR": "24"}, "FOLLOWER_SYNC_HOUR must be an hour from 0 to 23"),
        ({"FOLLOWER_SYNC_HOUR": "-1"}, "FOLLOWER_SYNC_HOUR must be an hour from 0 to 23"),
        ({"FOLLOWER_SYNC_HOUR": "³"}, "FOLLOWER_SYNC_HOUR must be an hour from 0 to 23"),
        ({"WECHAT_MP_BASE": "https://mp.weixin.qq.com/cgi-bin"}, "WECHAT_MP_BASE must be"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES is a number"),
        ({"EVENT_RETENTION_DAYS": "1"}, "EVENT_RETENTION_DAYS is shorter than a window"),
        ({"EXTRA_APPS": "vistis"}, "EXTRA_APPS: there is no package 'vistis' on Python's path"),
        ({"EXTRA_APPS": "nowhere.apps.Config"}, "there is no package 'nowhere.apps.Config'"),
        ({"EXTRA_APPS": "json.decoder"}, "there is no package 'json.decoder'"),
        ({"EXTRA_APPS": "../visits"}, "there is no package '../visits'"),
        ({"EXTRA_APPS": "json, json"}, "EXTRA_APPS: 'json' is installed already"),
        ({"EXTRA_APPS": "events"}, "EXTRA_APPS: 'events' is installed already"),
    ],
)
def test_what_is_missing_or_weak_is_refused_with_what_to_set(settings_with, change, sentence):
    with pytest.raises(ImproperlyConfigured) as refused:
        settings_with(PRODUCTION | change)
    assert sentence in str(refused.value)


@pytest.mark.slow
def test_what_is_refused_stops_the_start():
    result = start(PRODUCTION | {"SECRET_KEY": ""})
    assert result.returncode != 0
    assert "SECRET_KEY must be set" in result.stderr


@pytest.mark.parametrize(("written", "hour"), [(None, 3), ("0", 0), ("23", 23), ("", None)])
def test_the_hour_of_the_follower_sync_can_be_chosen_or_left_out(settings_with, written, hour):
    environment = {} if written is None else {"FOLLOWER_SYNC_HOUR": written}
    assert settings_with(environment)["FOLLOWER_SYNC_HOUR"] == hour


def test_an_empty_number_or_switch_is_not_set(settings_with):
    names = ["BEHIND_TLS_PROXY", "CALLBACK_SECONDS", "EVENT_RETENTION_DAYS"]
    usual = dict(settings_with(PRODUCTION))
    empty = settings_with(PRODUCTION | dict.fromkeys(names, ""))
    assert [empty[name] for name in names[1:]] == [usual[name] for name in names[1:]]
    # The proxy's header is a setting only behind a proxy.
    assert "SECURE_PROXY_SSL_HEADER" not in empty


def test_the_readme_lists_exactly_the_variables_that_the_settings_read():
    read = set()
    sources = (path.read_text() for path in (ROOT / "wechat_site" / "settings").glob("*.py"))
    for node in itertools.chain.from_iterable(ast.walk(ast.parse(text)) for text in sources):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("env")) | ast.Name("_secret" | "_platform_base"),
                args=[ast.Constant(str(name)), *_],
            ):
                read.add(name)
    table = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert len(table) == len(set(table))
    assert set(table) == read


@pytest.mark.slow
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


@pytest.mark.parametrize("hosts", ["shop.example.com", "localhost,shop.example.com", "*"])
def test_a_public_host_gets_no_debug_pages(settings_with, hosts):
    with pytest.raises(ImproperlyConfigured, match="Set DEBUG=False"):
        settings_with({"ALLOWED_HOSTS": hosts})


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_public_bind_gets_no_debug_pages(address, settings):
    settings.DEBUG = True
    with pytest.raises(CommandError, match="Set DEBUG=False"):
        call_command("serve", host=address)


def test_the_folder_of_the_database_is_closed_to_others():
    assert stat.S_IMODE((ROOT / "var").stat().st_mode) == 0o700


@pytest.mark.slow
def test_the_database_is_closed_to_others(tmp_path, empty_sqlite_file):
    file = shutil.copyfile(empty_sqlite_file, tmp_path / "site.sqlite3")
    file.chmod(0o644)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{file}"},
        check=True,
    )
    assert {stat.S_IMODE(part.stat().st_mode) for part in tmp_path.iterdir()} == {0o600}
