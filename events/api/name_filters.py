"""Filters by a name that refuse unknown names, because an empty list would hide a misspelling.

This does not concern OpenIDs, UnionIDs and menu keys: for them an empty list is a correct answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters.filters import FilterMethod
from rest_framework.exceptions import ValidationError

from events.api.strict_filters import ExactFilter, ValuesFilter
from events.kinds import KINDS
from events.models import EventLog
from events.viewer import visible_to
from events.wechat import EVENT_TYPES

__all__ = [
    "EventNameFilter",
    "KindsFilter",
    "NameFilter",
    "SceneFilter",
    "check_kinds",
    "scenes_are_in",
]

# Returns the rows that have a name.
Rows = Callable[[str], "QuerySet[Any]"]


def _refuse(parameter: str) -> None:
    raise ValidationError({parameter: [_("Nothing has this name.")]}, code="does_not_exist")


def check_kinds(parameter: str, kinds: Iterable[str], exists: Callable[[str], bool]) -> None:
    """Refuses a kind that is neither in the table of kinds nor in a row."""
    for kind in kinds:
        if kind not in KINDS and not exists(kind):
            _refuse(parameter)


class _CheckedMethod(FilterMethod):
    def __call__(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        named: Any = self.f
        named.check(value)
        found: QuerySet[Any] = super().__call__(qs, value)
        return found


class _Named:
    """Checks a value before it filters, even if a method of the filter set does the filtering."""

    parent: Any
    method: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.method is not None:
            this: Any = self
            this.filter = _CheckedMethod(this)

    def check(self, value: Any) -> None:
        """Raises ValidationError for an unknown value."""
        raise NotImplementedError

    def filter(self, qs: QuerySet[Any], value: Any) -> QuerySet[Any]:
        self.check(value)
        found: QuerySet[Any] = super().filter(qs, value)  # type: ignore[misc]
        return found

    @property
    def parameter(self) -> str:
        names: dict[str, Any] = self.parent.filters
        return next(name for name, each in names.items() if each is self)

    def is_visible(self, rows: QuerySet[Any], account: str | None = "account") -> bool:
        user = self.parent.request.user
        return bool((visible_to(user, rows, account) if account else rows).exists())


class NameFilter(_Named, ExactFilter):
    """An exact name that a row in any of `rows` has. `account` is their path to the account."""

    def __init__(
        self, *args: Any, rows: Iterable[Rows], account: str | None = "account", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._rows, self._account = rows, account

    def check(self, value: Any) -> None:
        if value and not any(self.is_visible(rows(value), self._account) for rows in self._rows):
            _refuse(self.parameter)


class EventNameFilter(_Named, ExactFilter):
    """A MsgType or Event from the table of kinds or from a stored event."""

    def __init__(self, *args: Any, place: int, rows: Rows, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rows = rows
        self._known = {(*kind.split("."), "")[place] for kind in KINDS} | set(
            EVENT_TYPES if place == 0 else ()
        )

    def check(self, value: Any) -> None:
        if value and value.lower() not in self._known and not self.is_visible(self._rows(value)):
            _refuse(self.parameter)


class KindsFilter(_Named, ValuesFilter):
    """Kinds, with commas between them."""

    def check(self, value: Any) -> None:
        check_kinds(
            self.parameter,
            value or [],
            lambda kind: self.is_visible(EventLog.objects.filter(kind=kind)),
        )


_scenes: list[Rows] = []


def scenes_are_in(rows: Rows) -> Rows:
    """Registers a table with further known scenes, besides those in the log."""
    _scenes.append(rows)
    return rows


@scenes_are_in
def _scenes_of_log(scene: str) -> QuerySet[Any]:
    return EventLog.objects.with_scene(scene)


class SceneFilter(NameFilter):
    """The scene of any QR code, with or without events."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, rows=_scenes, **kwargs)
