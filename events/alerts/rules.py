"""The table of alert rules with their words, and the registry of the functions that check them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from events.models import Alert

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["RULES", "AlertRule", "Condition", "looks", "sees", "words_of"]

_MINUTE = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """The words of an alert while it lasts; `late` is milder than `down`.

    The alert is over when no check has found the fault for the time `calm`.
    """

    title: StrOrPromise
    down: StrOrPromise
    late: StrOrPromise = ""
    calm: datetime.timedelta = 10 * _MINUTE


@dataclass(frozen=True, slots=True)
class Condition:
    """A fault at this moment, of one account or of the whole site."""

    rule: str
    level: Alert.Level
    account_id: int | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


_Look = Callable[[datetime.datetime], Iterable[Condition]]

RULES: Mapping[str, AlertRule] = {
    "silence": AlertRule(
        _("silence"),
        late=_("Fewer pushes than usual: none for %(minutes)s minutes, usually %(usual)s."),
        down=_("No pushes for %(minutes)s minutes; usually there are %(usual)s in that time."),
    ),
    "refusals": AlertRule(
        _("refused pushes"),
        _("%(number)s pushes were refused in ten minutes (%(reason)s). The doctor says why."),
    ),
    "dead": AlertRule(
        _("failed events"),
        _("%(number)s events of the last day failed for good. Try them again in the log."),
    ),
    "late_answers": AlertRule(
        _("late answers"),
        _("%(late)s of %(answered)s answers within two hours were late."),
    ),
    "token": AlertRule(
        _("access token refused"),
        _("WeChat gives no access token: %(reason)s"),
    ),
    "ip_list": AlertRule(
        _("address refused"),
        _("This server's address %(address)s is not on the account's IP list (IP白名单)."),
    ),
    "sync": AlertRule(
        _("difference of followers"),
        _("The last sync found %(follows)s follows and %(unfollows)s unfollows that were missed."),
    ),
    "api_key": AlertRule(
        _("API key about to expire"),
        _("%(number)s API keys expire soon, the first in %(days)s days: %(name)s."),
    ),
    "disk": AlertRule(
        _("disk nearly full"),
        _("Only %(percent)s %% of the disk with %(folder)s is free."),
    ),
    "webhook": AlertRule(
        _("webhook paused"),
        _("%(host)s has taken no messages for %(hours)s hours: %(held)s wait for it."),
        late=_("%(host)s answered 410 Gone, so this site sends it nothing more."),
    ),
    "queue": AlertRule(
        _("queue stuck"),
        _("Rows have waited for %(minutes)s minutes: %(queue)s."),
    ),
    # A running worker itself finds that the fault is over, so there is no need to wait.
    "worker": AlertRule(
        _("worker"),
        _("No worker has run for two minutes: nothing is sent, fetched or tried again."),
        calm=datetime.timedelta(),
    ),
}

_looks: dict[str, _Look] = {}


def sees(rule: str) -> Callable[[_Look], _Look]:
    """Registers a function that yields the present faults of this rule."""

    def register(look: _Look) -> _Look:
        _looks[rule] = look
        return look

    return register


def looks() -> Mapping[str, _Look]:
    """Returns the registered functions by rule."""
    return dict(_looks)


def words_of(alert: Alert) -> str:
    """Returns a sentence about the fault, in the current language."""
    rule = RULES.get(alert.rule)
    if rule is None:
        return alert.rule
    text = rule.late if alert.level == Alert.Level.LATE and rule.late else rule.down
    try:
        words: str = str(text) % alert.details
    except (KeyError, TypeError, ValueError):
        # An alert of a former version has other details.
        return str(rule.title)
    return words
