"""The words for acts and their details. Pages show an act without words here by its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["ACTS", "REASONS", "act_in_words", "details_in_words", "outcome_in_words"]

ACTS: dict[str, StrOrPromise] = {
    "add": _("added"),
    "change": _("changed"),
    "delete": _("removed"),
    "put_back": _("put an earlier state back"),
    "sign_in": _("signed in"),
    "sign_in_failed": _("failed to sign in"),
    "sign_out": _("signed out"),
    "end_sessions": _("ended sessions"),
    "look": _("looked at"),
    "list": _("looked at the list"),
    "export": _("exported"),
    "download": _("downloaded"),
    "edit_profile": _("changed tags or the remark"),
    "edit_tags": _("chose followers to put a tag on or take it off"),
    "erase": _("erased a person"),
    "unbind": _("ended the binding"),
    "make_binding_link": _("made a link to bind a WeChat"),
    "revoke": _("revoked the key"),
    "adopt": _("adopted"),
    "try_again": _("tried again"),
    "renew": _("renewed"),
    "renew_callback_key": _("renewed the callback URL"),
    "adopt_original_id": _("took the original ID from pushes"),
    "refresh_profiles": _("had profiles fetched"),
    "download_archive": _("downloaded codes"),
    "download_sheet": _("downloaded codes as sheets for print"),
    "compare": _("compared results of codes"),
    "send_now": _("had files sent to WeChat"),
    "write": _("wrote to a follower"),
    "note": _("noted something about a conversation"),
    "assign": _("assigned the conversation"),
    "done": _("ended the conversation"),
    "reopen": _("opened the conversation again"),
    "publish": _("published a menu"),
    "publish_rules": _("published reply rules"),
    "discard_rules": _("discarded the draft of reply rules"),
    "take_back": _("published an earlier version again"),
    "take_over": _("took over what WeChat's console answers"),
    "withdraw": _("withdrew"),
    "ask": _("had WeChat asked"),
    "run": _("started a task"),
    "examine": _("had the account examined"),
    "test_channel": _("sent a test"),
    "send_test": _("sent a test"),
    "use_access_token": _("used the access token"),
    "use_js_ticket": _("used the JS-SDK ticket"),
    "use_js_config": _("had a page signed"),
    "send_again": _("sent again"),
    "sign_in_to": _("signed in to an application"),
    "end_access": _("ended an application's access"),
    "rotate_secret": _("changed the secret"),
    "activate": _("turned on again"),
    "backup": _("took a backup"),
    "restore": _("brought a backup back"),
}

# Why a sign-in failed. Other packages add their own reasons.
REASONS: dict[str, StrOrPromise] = {
    "password": _("wrong user name or password"),
    "locked": _("locked after too many failures"),
    "second-factor": _("wrong second factor"),
    "no-second-factor": _("staff without a second factor"),
    "key": _("wrong API key"),
}
_DETAILS: dict[str, StrOrPromise] = {
    "with": _("sign-in with"),
    "reason": _("reason"),
    "rows": _("number of rows"),
    "ids": _("numbers of the rows"),
    "fields": _("fields"),
    "filters": _("filters used"),
    "conditions": _("conditions of the list"),
    "scenes": _("scenes of the codes"),
    "task": _("task"),
    "file": _("file"),
    "taken_at": _("time of the backup"),
    "sessions": _("sessions ended"),
}


def act_in_words(act: str) -> str:
    return str(ACTS.get(act, act))


def details_in_words(details: dict[str, Any]) -> dict[str, Any]:
    """Returns the details with their names and known reasons in words."""
    return {str(_DETAILS.get(name, name)): _value(value) for name, value in details.items()}


def outcome_in_words(act: str, details: dict[str, Any]) -> list[str]:
    """Returns how a user signed in, or why not; empty for other acts."""
    if act not in {"sign_in", "sign_in_failed"}:
        return []
    return [str(_value(details[name])) for name in ("with", "reason") if name in details]


def _value(value: Any) -> Any:
    if value == "WeChat":
        return _("WeChat")
    return REASONS.get(value, value) if isinstance(value, str) else value
