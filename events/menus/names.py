"""Finds the menu's names for the keys in events (CLICK, VIEW and others).

A published version never changes, so a process reads each version once. A page needs one query, and
one more if it needs a version that the process has not read.
"""

from __future__ import annotations

import datetime
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from django.db.models import F

from events.kinds import KINDS, kinds_where
from events.menus.menu_words import entries
from events.models import EventLog
from events.models.menu import LiveMenu, MenuVersion
from events.wechat.api.menu_model import Menu

__all__ = ["MenuName", "MenuNames", "keys_of_live_menus"]

# For each type of entry, the events that its tap pushes: the kind, and the field that EventKey
# repeats. Entries that send a material or an article push nothing. A client that cannot open a mini
# program opens the address.
_PUSHED: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
for _kind, _entry in KINDS.items():
    for _type, _field in _entry.menu.items():
        _PUSHED[_type].append((_kind, _field))
_KINDS = frozenset(kinds_where(lambda entry: bool(entry.menu)))

# The most versions for all accounts of a page together. Older former versions are ignored.
_VERSIONS = 500
_MOST_KEPT = 2000
# The most forms of an address to try; WeChat may have added parameters.
_CANDIDATES = 32

# The path of the entry by kind and EventKey.
_Paths: TypeAlias = Mapping[tuple[str, str], str]
# Id and time of publishing. The time separates versions even after a database was restored.
_Version: TypeAlias = tuple[int, datetime.datetime | None]


@dataclass(frozen=True, slots=True)
class MenuName:
    """An entry's path; `is_former` if it is not in the menu that followers see now."""

    path: str
    is_former: bool


class MenuNames:
    """The names of the keys of some accounts."""

    def __init__(self, account_ids: Iterable[int]) -> None:
        self._versions: dict[int, list[tuple[_Version, bool]]] = {pk: [] for pk in account_ids}
        self._paths: Mapping[_Version, _Paths] = {}
        if not self._versions:
            return
        rows = (
            MenuVersion.objects.published()
            .filter(account__in=list(self._versions))
            # First the menus that followers see now, even if other versions are newer.
            .order_by(F("live_for").asc(nulls_last=True), "-published_at", "-pk")
            .values_list("pk", "published_at", "account_id", "live_for")[:_VERSIONS]
        )
        for pk, published_at, account_id, live_for in rows:
            self._versions[account_id].append(((pk, published_at), live_for is not None))
        self._paths = _read([row for rows in self._versions.values() for row, _ in rows])

    @classmethod
    def for_events(cls, events: Iterable[EventLog]) -> MenuNames:
        """Reads the names for these events; without a menu event it makes no query."""
        return cls(event.account_id for event in events if event.kind in _KINDS)

    def of(self, event: EventLog) -> MenuName | None:
        """Returns the tapped entry; None for another event or an unknown entry."""
        return self.of_key(event.account_id, event.kind, event.event_key)

    def of_key(self, account_id: int, kind: str, key: str) -> MenuName | None:
        """Returns the entry whose tap pushes this kind with this EventKey; None if unknown."""
        if kind not in _KINDS:
            return None
        candidates = islice(_candidates(key), _CANDIDATES) if kind == "event.view" else [key]
        for candidate in candidates:
            for version, is_live in self._versions.get(account_id, []):
                path = self._paths.get(version, {}).get((kind, candidate))
                if path is not None:
                    return MenuName(path, is_former=not is_live)
        return None


def keys_of_live_menus(accounts: list[int]) -> list[tuple[str, str, str]]:
    """Returns account name, key and path of each live entry of the type click."""
    live = LiveMenu.objects.filter(version__isnull=False, account__in=accounts)
    rows = live.order_by("account__slug").values_list(
        "account__name", "version_id", "version__published_at"
    )[:_VERSIONS]
    versions = [(name, (pk, published_at)) for name, pk, published_at in rows]
    paths = _read([version for _, version in versions])
    return [
        (name, key, path)
        for name, version in versions
        for (kind, key), path in paths.get(version, {}).items()
        if kind == "event.click"
    ]


def _candidates(url: str) -> Iterator[str]:
    """Yields the address, and the forms that it may have had before WeChat added parameters."""
    yield url
    for separator in ("#", "&", "?"):
        while separator in url:
            url = url.rpartition(separator)[0]
            yield url


_lock = threading.Lock()
_read_before: dict[_Version, _Paths] = {}


def _read(versions: list[_Version]) -> dict[_Version, _Paths]:
    with _lock:
        found = {version: _read_before[version] for version in versions if version in _read_before}
    missing = [pk for pk, published_at in versions if (pk, published_at) not in found]
    if missing:
        read: dict[_Version, _Paths] = {
            (row.pk, row.published_at): _paths_in(row.content)
            for row in MenuVersion.objects.published().filter(pk__in=missing)
        }
        found |= read
        with _lock:
            if len(_read_before) + len(read) > _MOST_KEPT:
                _read_before.clear()
            _read_before.update(read)
    return found


def _paths_in(menu: Menu) -> _Paths:
    paths: dict[tuple[str, str], str] = {}
    for entry in entries(menu):
        for kind, field in _PUSHED.get(entry.button.type, ()):
            # If several entries have the same key, take the first.
            paths.setdefault((kind, getattr(entry.button, field)), entry.path)
    return paths
