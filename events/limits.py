"""The limits above which alerts begin and the doctor warns: defaults that operators may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from events.models import AlertLimits

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["LIMITS", "Limit", "Limits", "mistakes_in", "site_limits"]


@dataclass(frozen=True, slots=True)
class Limit:
    """A whole number from `least` to `most`. If `of_site`, no account has its own value."""

    label: StrOrPromise
    help: StrOrPromise
    default: int
    least: int
    most: int
    of_site: bool = False


LIMITS: Mapping[str, Limit] = {
    # If pushes came independently, five would be missing by chance once in 150 times; but pushes
    # come in bursts.
    "silence_late": Limit(
        _("silence, late"),
        _("At least this many pushes would usually have come since the last one."),
        default=5, least=1, most=100_000,
    ),
    "silence_down": Limit(
        _("silence, down"),
        _("The same; from this number on, pushes count as lost."),
        default=15, least=2, most=1_000_000,
    ),
    "refusals": Limit(
        _("refused pushes"),
        _("At least this many in ten minutes."),
        default=5, least=1, most=1_000_000,
    ),
    "dead": Limit(
        _("failed events"),
        _("At least this many in a day."),
        default=1, least=1, most=1000,
    ),
    "late_answers": Limit(
        _("late answers"),
        _("More than this percentage of the answers within two hours, of 20 at least."),
        default=10, least=1, most=100,
    ),
    "sync": Limit(
        _("difference of followers"),
        _("More follows and unfollows than this were missed, and more than one in 200."),
        default=10, least=0, most=1_000_000,
    ),
    "queue_late": Limit(
        _("queue stuck, late"),
        _("A row has been due for at least this many minutes."),
        default=10, least=2, most=24 * 60, of_site=True,
    ),
    "queue_down": Limit(
        _("queue stuck, down"),
        _("A row has been due for at least this many minutes."),
        default=60, least=3, most=7 * 24 * 60, of_site=True,
    ),
    "api_key": Limit(
        _("API key about to expire"),
        _("This many days before."),
        default=14, least=1, most=90, of_site=True,
    ),
    "disk_percent": Limit(
        _("disk nearly full, percent"),
        _("Less than this percentage of a disk is free, and less than the gigabytes below."),
        default=10, least=1, most=90, of_site=True,
    ),
    "disk_gigabytes": Limit(
        _("disk nearly full, GB"),
        _("Less than this many gigabytes are free, and less than the percentage above."),
        default=5, least=1, most=100_000, of_site=True,
    ),
}  # fmt: skip
# In each pair the first limit must be less than the second.
_PAIRS = (("silence_late", "silence_down"), ("queue_late", "queue_down"))


class Limits:
    """All limits, read once: make a new object to see a change."""

    def __init__(self) -> None:
        rows = AlertLimits.objects.values_list("account", "limits")
        self._set: dict[int | None, Mapping[str, int]] = dict(rows)

    def of(self, name: str, account_id: int | None = None) -> int:
        """The account's own limit, else the site's, else the default."""
        for whose in (account_id, None):
            value = self._set.get(whose, {}).get(name)
            if isinstance(value, int):
                return value
        return LIMITS[name].default


def site_limits() -> Mapping[str, int]:
    """Returns the limits of accounts that have none of their own."""
    limits = Limits()
    return {name: limits.of(name) for name in LIMITS}


def mistakes_in(chosen: Mapping[str, int], rest: Mapping[str, int]) -> Mapping[str, StrOrPromise]:
    """Returns an operator's mistakes in `chosen` by name; `rest` has the limits not chosen."""
    found: dict[str, StrOrPromise] = {}
    for name, value in chosen.items():
        limit = LIMITS[name]
        if not limit.least <= value <= limit.most:
            words = _("Enter a whole number from %(least)s to %(most)s.")
            found[name] = words % {"least": limit.least, "most": limit.most}
    for late, down in _PAIRS:
        if not (late in chosen or down in chosen):
            continue
        lesser, greater = chosen.get(late, rest[late]), chosen.get(down, rest[down])
        if lesser >= greater and not {late, down} & found.keys():
            words = _("“Late” must be less than “down”: %(late)s is not less than %(down)s.")
            where = down if down in chosen else late
            found[where] = words % {"late": lesser, "down": greater}
    return found
