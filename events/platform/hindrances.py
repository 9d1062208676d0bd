"""Finds what cannot work for an account before anybody tries: no AppSecret, or no right (48001).

    hindrance(account.pk, "/cgi-bin/menu/create")

Receiving, reply rules, passive replies and statistics need none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import BooleanField, ExpressionWrapper, QuerySet
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from events.platform.rights import CAN_ASK, RIGHTS, known_rights
from events.platform.tokens import NoAppSecret
from events.wechat.api import NotPermitted
from events.wechat.api.qr_codes import CREATE_PATH

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["CONSOLE_REPLIES", "Ability", "Hindrance", "abilities", "hindrance", "hindrances"]

# Every account has the right to this call, so only its AppSecret can be missing.
CONSOLE_REPLIES = "/cgi-bin/get_current_autoreply_info"
_ELSE: dict[str, StrOrPromise] = {CONSOLE_REPLIES: _("what its console answers (自动回复)")}
# WeChat gives these rights only to certified service accounts.
_SERVICE_ACCOUNTS = {CREATE_PATH}
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why these accounts cannot use an API, and what to do; str() makes a sentence."""

    path: str
    lacks_secret: bool
    accounts: Sequence[OfficialAccount]

    def __str__(self) -> str:
        words = {"accounts": self._names, "what": RIGHTS.get(self.path) or _ELSE[self.path]}
        if self.lacks_secret:
            return (
                gettext(
                    "Without an AppSecret %(accounts)s cannot use %(what)s: enter it on the "
                    "account's page."
                )
                % words
            )
        if self.path in _SERVICE_ACCOUNTS:
            return (
                gettext(
                    "WeChat does not let %(accounts)s use %(what)s (48001): that takes a certified "
                    "service account (已认证的服务号); once it is one, examine the account."
                )
                % words
            )
        return (
            gettext(
                "WeChat does not let %(accounts)s use %(what)s (48001): that takes a certified "
                "account (已认证); once it is certified, examine the account."
            )
            % words
        )

    @property
    def code(self) -> str:
        """A word for programs: the `Job.failure` of a job that is tried all the same."""
        return NoAppSecret.label if self.lacks_secret else NotPermitted.label

    @property
    def _names(self) -> str:
        names = gettext(", ").join(account.name for account in self.accounts[:_NAMED])
        more = len(self.accounts) - _NAMED
        if more <= 0:
            return names
        return ngettext("%(names)s and %(more)s more", "%(names)s and %(more)s more", more) % {
            "names": names,
            "more": more,
        }


@dataclass(frozen=True, slots=True)
class Ability:
    """What one account can do: whether it lacks an AppSecret, and which paths WeChat refuses."""

    account: OfficialAccount
    lacks_secret: bool
    refused: frozenset[str]


def abilities(accounts: QuerySet[OfficialAccount]) -> list[Ability]:
    """Returns the abilities of the active ones among these accounts, by one query."""
    lacking = ExpressionWrapper(~CAN_ASK, BooleanField())
    rows = accounts.filter(is_active=True).annotate(lacks_secret=lacking)
    return [
        Ability(
            account,
            bool(account.lacks_secret),
            # An account has no row of rights until the site has asked WeChat.
            frozenset(
                right.path
                for right in known_rights(getattr(account, "rights", None))
                if not right.is_granted
            ),
        )
        for account in rows.select_related("rights").only("name", "slug", "rights__rights")
    ]


def hindrances(found: Iterable[Ability], path: str) -> list[Hindrance]:
    """Returns what keeps any of these accounts from using the API, one object per reason."""
    without, refused = [], []
    for ability in found:
        if ability.lacks_secret:
            without.append(ability.account)
        elif path in ability.refused:
            refused.append(ability.account)
    return [
        Hindrance(path, lacks_secret, accounts)
        for lacks_secret, accounts in ((True, without), (False, refused))
        if accounts
    ]


def hindrance(account_id: int, path: str) -> Hindrance | None:
    """Returns what keeps this account from using the API; None if nothing is known."""
    one = OfficialAccount.objects.filter(pk=account_id)
    return next(iter(hindrances(abilities(one), path)), None)
