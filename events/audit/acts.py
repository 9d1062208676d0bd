"""What acts are called, in words. An act without words here is shown by its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["ACTS", "act_in_words"]

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
    "erase": _("erased a person"),
    "unbind": _("ended the binding"),
    "revoke": _("revoked the key"),
    "adopt": _("adopted"),
    "try_again": _("tried again"),
    "renew": _("renewed"),
    "renew_callback_key": _("renewed the callback URL"),
    "adopt_original_id": _("took the original ID from pushes"),
    "refresh_profiles": _("had profiles fetched"),
    "download_archive": _("downloaded codes"),
    "write": _("wrote to a follower"),
    "publish": _("published a menu"),
    "publish_rules": _("published reply rules"),
    "discard_rules": _("discarded the draft of reply rules"),
    "take_back": _("published an earlier version again"),
    "withdraw": _("withdrew"),
    "ask": _("had WeChat asked"),
    "run": _("started a task"),
    "examine": _("had the account examined"),
    "test_channel": _("sent a test"),
    "backup": _("took a backup"),
    "restore": _("brought a backup back"),
}


def act_in_words(act: str) -> str:
    return str(ACTS.get(act, act))
