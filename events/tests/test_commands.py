from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from events.models import OfficialAccount

pytestmark = pytest.mark.django_db

AES_KEY = "mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD"


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def add(*options: str) -> str:
    return run(
        "add_account",
        "shop",
        "--name",
        "商店",
        "--original-id",
        "gh_1",
        "--app-id",
        "wx3a9f0c27d81be645",
        *options,
    )


def test_the_callback_url_is_the_last_line(settings):
    settings.DEBUG = True
    output = add("--mode", "plaintext", "--token", "T0ken")
    account = OfficialAccount.objects.get()
    assert output.splitlines()[-1] == f"http://localhost:8000/wechat/{account.callback_key}/"
    assert (account.slug, account.name, account.token) == ("shop", "商店", "T0ken")


def test_the_callback_url_begins_with_the_public_host(settings):
    settings.ALLOWED_HOSTS = ["*", ".example.com", "wechat.example.com"]
    url = add("--mode", "plaintext", "--token", "T0ken").splitlines()[-1]
    assert url.startswith("https://wechat.example.com/wechat/")
    other = run("add_account", "shop", "--site-url", "http://10.0.0.5:8000/").splitlines()[-1]
    assert other.startswith("http://10.0.0.5:8000/wechat/")


def test_secrets_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WECHAT_TOKEN", "FromEnv")
    monkeypatch.setenv("WECHAT_AES_KEY", AES_KEY)
    monkeypatch.setenv("WECHAT_APP_SECRET", "s3cret")
    output = add("--mode", "safe")
    account = OfficialAccount.objects.get()
    assert (account.token, account.encoding_aes_key, account.app_secret) == (
        "FromEnv",
        AES_KEY,
        "s3cret",
    )
    assert "FromEnv" not in output
    assert "s3cret" not in output


def test_running_it_again_changes_the_account_and_keeps_the_former_token():
    add("--mode", "plaintext", "--token", "First1")
    key = OfficialAccount.objects.get().callback_key
    output = run("add_account", "shop", "--token", "Second2")
    account = OfficialAccount.objects.get()
    assert (account.token, account.previous_token) == ("Second2", "First1")
    assert account.token_changed_at is not None
    assert account.name == "商店"
    assert output.rstrip().endswith(f"/{key}/")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--mode", "safe", "--token", "T0ken"], "need an AppID and an EncodingAESKey"),
        (["--aes-key", "short", "--token", "T0ken"], "43 letters and digits"),
        (["--mode", "plaintext", "--time-zone", "Mars/Olympus"], "time zone|时区"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(options, sentence, settings):
    settings.LANGUAGE_CODE = "en"
    with pytest.raises(CommandError, match=sentence):
        add(*options)
    assert not OfficialAccount.objects.exists()


def test_processing_must_be_told_what():
    with pytest.raises(CommandError, match="Say which"):
        run("process_events")
