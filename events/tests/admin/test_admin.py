from __future__ import annotations

import datetime
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.models import ApiKey, OfficialAccount
from events.people.scopes import SCOPES
from events.testing import AES_KEY, make_account, message_xml, push

pytestmark = pytest.mark.django_db

OTHER_AES_KEY = "b" * 42 + "A"


def account_url(account: OfficialAccount, view: str = "change") -> str:
    return reverse(f"admin:events_officialaccount_{view}", args=[account.pk])


def form_of(account: OfficialAccount, **change: str) -> dict[str, str]:
    return {
        "name": account.name,
        "original_id": account.original_id,
        "app_id": account.app_id,
        "security_mode": account.security_mode,
        "time_zone": account.time_zone,
        "late_answers": account.late_answers,
        "hold_text": account.hold_text,
        "is_active": "on",
        "new_token": "",
        "new_encoding_aes_key": "",
        "new_app_secret": "",
        **change,
    }


# --- Accounts ----------------------------------------------------------------------------------


def test_secrets_are_never_rendered(operator):
    account = make_account(app_secret="Se3retOfTheApp")
    page = operator.get(account_url(account)).content.decode()
    page += operator.post(account_url(account), form_of(account, name="")).content.decode()
    for secret in (account.token, account.encoding_aes_key, account.app_secret):
        assert secret not in page


def test_secrets_typed_into_a_form_with_errors_are_not_sent_back(operator):
    account = make_account()
    typed = form_of(account, name="", new_token="TypedToken42")
    response = operator.post(account_url(account), typed)
    assert response.status_code == 200
    assert "TypedToken42" not in response.content.decode()


def test_empty_fields_keep_the_secrets(operator):
    account = make_account(app_secret="Se3retOfTheApp")
    assert operator.post(account_url(account), form_of(account, name="Renamed")).status_code == 302
    kept = OfficialAccount.objects.get()
    assert (kept.name, kept.token, kept.app_secret) == ("Renamed", account.token, "Se3retOfTheApp")
    assert (kept.encoding_aes_key, kept.token_changed_at) == (AES_KEY, None)


def test_new_secrets_open_the_rotation_window(operator):
    account = make_account()
    operator.post(
        account_url(account),
        form_of(account, new_token="NewToken", new_encoding_aes_key=OTHER_AES_KEY),
    )
    changed = OfficialAccount.objects.get()
    credentials = changed.credentials(timezone.now())
    assert credentials.tokens == ("NewToken", account.token)
    assert credentials.aes_keys == (OTHER_AES_KEY, AES_KEY)
    assert "not set" in operator.get(account_url(account)).content.decode()  # the AppSecret


def test_the_page_says_what_to_enter_in_wechats_console(operator):
    account = make_account()
    page = operator.get(account_url(account), headers={"host": "localhost:8443"}).content.decode()
    assert f"http://localhost:8443{callback_path(account)}" in page


def test_plaintext_mode_is_warned_of_and_safe_mode_is_not(operator):
    warning = "anyone who has seen one signed request can forge events"
    plain, safe = make_account("plain", "plaintext"), make_account("safe", "safe")
    assert warning in operator.get(account_url(plain)).content.decode()
    assert warning not in operator.get(account_url(safe)).content.decode()


def test_an_account_is_added_with_its_secrets(operator):
    url = reverse("admin:events_officialaccount_add")
    assert operator.get(url).status_code == 200
    form = form_of(OfficialAccount(app_id="wx3a9f0c27d81be645"), name="New", slug="new")
    form |= {"new_token": "FirstToken", "new_encoding_aes_key": AES_KEY}
    assert operator.post(url, form).status_code == 302
    account = OfficialAccount.objects.get(slug="new")
    assert account.credentials(timezone.now()).tokens == ("FirstToken",)


def test_the_handle_of_an_account_does_not_change(operator):
    account = make_account("shop")
    operator.post(account_url(account), form_of(account, slug="other"))
    assert OfficialAccount.objects.get().slug == "shop"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"security_mode": "safe"}, "need an AppID and an EncodingAESKey"),
        ({"new_encoding_aes_key": "short"}, "exactly 43 letters and digits"),
        ({"time_zone": "Mars/Olympus"}, "Not the name of a time zone"),
        ({"app_id": "", "security_mode": "safe"}, "This field is required"),
    ],
)
def test_what_the_database_would_refuse_is_said_in_the_form(operator, change, said):
    account = make_account(mode="plaintext", encoding_aes_key="")
    response = operator.post(account_url(account), form_of(account, **change))
    assert response.status_code == 200
    assert said in response.content.decode()


def test_renewing_the_callback_url_asks_first(operator):
    account = make_account()
    url = reverse("admin:events_officialaccount_renew_callback_key", args=[account.pk])
    assert "stops working at once" in operator.get(url).content.decode()
    assert OfficialAccount.objects.get().callback_key == account.callback_key
    page = operator.post(url, follow=True).content.decode()
    renewed = OfficialAccount.objects.get()
    assert renewed.callback_key != account.callback_key
    assert callback_path(renewed) in page


@pytest.mark.parametrize("many_at_once", [False, True])
def test_an_account_with_events_is_not_deleted_and_the_page_says_why(
    operator, django_assert_max_num_queries, many_at_once
):
    account = make_account()
    push(account, message_xml())
    with django_assert_max_num_queries(15):
        if many_at_once:
            page = operator.post(
                reverse("admin:events_officialaccount_changelist"),
                {"action": "delete_selected", "_selected_action": [account.pk]},
            )
        else:
            page = operator.post(account_url(account, "delete"), {"post": "yes"})
    assert OfficialAccount.objects.exists()
    assert "the events of shop" in page.content.decode()


def test_an_account_without_events_is_deleted(operator):
    account = make_account()
    operator.post(account_url(account, "delete"), {"post": "yes"})
    assert not OfficialAccount.objects.exists()


def test_somebody_who_may_only_look_sees_no_field_for_secrets(client):
    account = make_account()
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_officialaccount"))
    client.force_login(viewer)
    page = client.get(account_url(account))
    assert page.status_code == 200
    assert "new_token" not in page.content.decode()
    renew = reverse("admin:events_officialaccount_renew_callback_key", args=[account.pk])
    assert client.post(renew).status_code == 403
    assert OfficialAccount.objects.get().callback_key == account.callback_key


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_badges_are_coloured_in_every_language(operator, language):
    operator.cookies["django_language"] = language
    make_account(mode="plaintext")
    page = operator.get(reverse("admin:events_officialaccount_changelist")).content.decode()
    assert re.search(r"bg-orange-100[^>]*>\s*\S*\s*\(?明文模式", page)


# --- Keys ----------------------------------------------------------------------------


def test_a_key_is_shown_once_and_only_its_digest_is_stored(operator):
    listing = reverse("admin:events_apikey_changelist")
    form = {"user": User.objects.get().pk, "name": "warehouse", "scopes": ["events:read"]}
    page = operator.post(reverse("admin:events_apikey_add"), form, follow=True).content.decode()
    (key,) = re.findall(r"<code>([\w-]{43})</code>", page)
    stored = ApiKey.objects.get()
    assert (stored.digest, stored.scopes) == (ApiKey.digest_of(key), ["events:read"])
    assert key not in operator.get(listing).content.decode()
    detail = reverse("admin:events_apikey_change", args=[stored.pk])
    shown = operator.get(detail).content.decode()
    assert "events:read" in shown
    assert key not in shown
    assert stored.digest not in shown


def test_a_key_has_scopes_of_the_closed_set_alone(operator):
    form = {"user": User.objects.get().pk, "name": "", "scopes": ["everything"]}
    response = operator.post(reverse("admin:events_apikey_add"), form)
    assert response.status_code == 200
    assert not ApiKey.objects.exists()
    assert all(scope in response.content.decode() for scope in SCOPES)


def test_a_revoked_key_keeps_the_time_of_its_revocation(operator):
    key, _ = ApiKey.issue(user=User.objects.get(), scopes=["events:read"])
    revoke = {"action": "revoke", "_selected_action": [key.pk]}
    operator.post(reverse("admin:events_apikey_changelist"), revoke)
    revoked_at = ApiKey.objects.get().revoked_at
    assert timezone.now() - revoked_at < datetime.timedelta(minutes=1)
    operator.post(reverse("admin:events_apikey_changelist"), revoke)
    assert ApiKey.objects.get().revoked_at == revoked_at
