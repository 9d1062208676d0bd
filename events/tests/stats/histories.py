"""Histories of a log for tests: what arrives, late and twice, is answered, removed and renamed."""

from __future__ import annotations

import dataclasses
import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from django.utils import timezone
from hypothesis import strategies as st

from events.log.process import deliver
from events.log.retention_hooks import announce_erasure, announce_removal
from events.models import EventLog, OfficialAccount, OpenEvent, StatisticsProgress
from events.stats.counting.roll_up import roll_up
from events.stats.series import ANSWERABLE, MENU_KINDS, MESSAGE_KINDS

__all__ = ["ZONES", "History", "count_by_hand", "labels", "steps"]

# Summer time, half an hour, half an hour of summer time, no midnight on the day it begins.
ZONES = (
    *("Asia/Shanghai", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"),
)
# Around the ends and beginnings of summer time in these zones, months and weeks.
_DAYS = [
    datetime.datetime(2026, *day, tzinfo=datetime.UTC)
    for day in ((3, 8), (3, 29), (4, 4), (4, 30), (10, 3), (10, 25), (10, 31), (11, 1))
]
_KINDS = [
    "event.subscribe", "event.subscribe", "event.unsubscribe", "event.scan", "event.click",
    "event.click", "event.view", "text", "image", "event.location", "event.new",
    "import.follower", "reconcile.follow", "reconcile.unfollow", "event.user_get_card",
]  # fmt: skip
_SOURCES = {"import": "import", "reconcile": "reconcile"}

moments = st.builds(
    lambda day, minutes: day + datetime.timedelta(minutes=minutes),
    st.sampled_from(_DAYS),
    st.integers(-900, 900),
)
arrivals = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(_KINDS),
        "openid": st.sampled_from(["o1", "o2", "o3", "o4", ""]),
        "name": st.sampled_from(["", "a", "b", "bind-" + "x" * 32]),
        "at": moments,
        "status": st.sampled_from(
            ["processed", "processed", "processed", "received", "set_aside", "dead"]
        ),
        "has_reply": st.booleans(),
        "waited": st.sampled_from([0, 900, 3000, 9000]),
        "followed_before": st.none() | st.integers(0, 3000),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.lists(arrivals, min_size=1, max_size=6)),
        st.tuples(st.just("arrive"), st.lists(arrivals, min_size=1, max_size=6)),
        st.tuples(st.just("tick"), st.none()),
        st.tuples(st.just("tick"), st.none()),
        st.tuples(st.just("double"), st.integers(0, 50)),
        st.tuples(st.just("answer"), st.tuples(st.integers(0, 50), st.booleans())),
        st.tuples(st.just("move"), st.sampled_from(ZONES)),
        st.tuples(st.just("erase"), st.sampled_from(["o1", "o2", "o3"])),
    ),
    min_size=1,
    max_size=14,
)


@dataclasses.dataclass(slots=True)
class Row:
    """What the test knows of one row of the log, removed ones included."""

    pk: int
    kind: str
    openid: str
    key: str
    scene: str
    at: datetime.datetime
    followed_at: datetime.datetime | None
    received_at: datetime.datetime
    source: str
    status: str
    has_reply: bool
    waited_ms: int
    deliveries: int = 1
    is_folded: bool = True
    text: str = ""

    @property
    def is_event(self) -> bool:
        return self.status != "set_aside"

    @property
    def outcome(self) -> str:
        if self.kind not in ANSWERABLE or self.status in {"set_aside", "received"}:
            return ""
        return "answered" if self.has_reply else "unanswered"


class History:
    """Plays a history against the database and keeps in plain Python what it did."""

    def __init__(self, account: OfficialAccount, recount_zone: Callable[[], Any]) -> None:
        self.account = account
        self.rows: list[Row] = []
        self._recount_zone = recount_zone
        self._numbers = 0

    def play(self, history: Iterable[tuple[str, Any]]) -> None:
        for step, argument in history:
            getattr(self, f"_{step}")(argument)
        self.tick()

    def tick(self) -> None:
        OpenEvent.objects.update(look_again_at=timezone.now() - datetime.timedelta(seconds=1))
        StatisticsProgress.objects.update(repeats_until=None)
        roll_up()

    def remove_before(self, moment: datetime.datetime) -> None:
        going = EventLog.objects.filter(account=self.account, event_time__lt=moment).exclude(
            status__in=["received", "failed", "set_aside"]
        )
        announce_removal(going)
        going.delete()

    def _arrive(self, arrivals: Iterable[dict[str, Any]]) -> None:
        for arrival in arrivals:
            self._store(**arrival)

    def _store(
        self,
        *,
        kind: str,
        openid: str,
        name: str,
        at: datetime.datetime,
        status: str,
        has_reply: bool,
        waited: int,
        followed_before: int | None,
    ) -> None:
        source = _SOURCES.get(kind.partition(".")[0], "callback")
        if source != "callback":
            status, has_reply = "processed", False
        scene = name if kind in {"event.subscribe", "event.scan"} else ""
        key = name if kind in MENU_KINDS else ""
        text = name if kind == "text" and not name.startswith("bind-") else ""
        followed = None
        if kind in {"import.follower", "reconcile.follow"} and followed_before is not None:
            followed = at - datetime.timedelta(minutes=followed_before)
        is_done = status == "processed"
        received = at + datetime.timedelta(seconds=1)
        self._numbers += 1
        event = EventLog(
            account=self.account,
            source=source,
            dedup_key=f"{self._numbers:032}",
            kind=kind,
            openid=openid,
            event_key=key,
            scene=scene,
            event_time=at,
            followed_at=followed,
            received_at=received,
            last_delivered_at=received,
            raw=f"<xml><Content>{text}</Content></xml>".encode() if text else b"",
            status=status if status != "dead" else "processed",
            reply="<xml/>" if is_done and has_reply else "",
            processed_at=received if is_done else None,
            answered_by="reply" if is_done and has_reply else "",
            answered_at=received + datetime.timedelta(milliseconds=waited)
            if is_done and has_reply
            else None,
        )
        deliver([event])
        if status == "dead":
            EventLog.objects.filter(pk=event.pk).update(status="dead")
        answered = is_done and has_reply
        self.rows.append(
            Row(
                pk=event.pk,
                kind=kind,
                openid=openid,
                key=key or ("" if name.startswith("bind-") else scene),
                scene=scene,
                at=at,
                followed_at=followed,
                received_at=received,
                source=source,
                status=status,
                has_reply=answered,
                waited_ms=waited if answered and kind in ANSWERABLE else 0,
                is_folded=status != "set_aside",
                text=text,
            )
        )

    def _tick(self, _: None) -> None:
        self.tick()

    def _double(self, number: int) -> None:
        if not self.rows:
            return
        row = self.rows[number % len(self.rows)]
        stored = EventLog.objects.get(pk=row.pk)
        deliver([stored])
        row.deliveries += 1

    def _answer(self, argument: tuple[int, bool]) -> None:
        number, has_reply = argument
        opened = [row for row in self.rows if row.status in {"received", "dead", "set_aside"}]
        if not opened:
            return
        row = opened[number % len(opened)]
        row.status, row.has_reply = "processed", has_reply
        row.waited_ms = 2000 if has_reply and row.kind in ANSWERABLE else 0
        EventLog.objects.filter(pk=row.pk).update(
            status="processed",
            reply="<xml/>" if has_reply else "",
            processed_at=row.received_at + datetime.timedelta(seconds=2),
            answered_by="message" if has_reply else "",
            answered_at=row.received_at + datetime.timedelta(seconds=2) if has_reply else None,
            next_attempt_at=None,
        )
        if not row.is_folded:
            self.fold(row)

    def fold(self, row: Row) -> None:
        """A verdict that was changed: the row is folded like any other."""
        from events.log.registry import project_together

        row.is_folded = True
        EventLog.objects.filter(pk=row.pk).update(folded_at=timezone.now())
        project_together([EventLog.objects.select_related("account").get(pk=row.pk)])

    def _move(self, zone: str) -> None:
        self.account.time_zone = zone
        self.account.save()
        self._recount_zone()

    def _erase(self, openid: str) -> None:
        self._numbers += 1
        pseudonym = f"p{self._numbers}"
        self.rename(openid, pseudonym)
        for row in self.rows:
            if row.openid == openid:
                row.openid, row.text = pseudonym, ""

    def rename(self, openid: str, pseudonym: str) -> None:
        EventLog.objects.filter(openid=openid).update(openid=pseudonym, raw=b"")
        announce_erasure(self.account.pk, openid, pseudonym)


def labels(moment: datetime.datetime, zone: zoneinfo.ZoneInfo) -> dict[str, Any]:
    """The hour, day, week and month a moment lies in, in words of its calendar."""
    local = moment.astimezone(zone)
    return {
        "h": (local.date(), local.hour, local.utcoffset()),
        "d": local.date(),
        "w": tuple(local.isocalendar())[:2],
        "m": (local.year, local.month),
    }


def count_by_hand(history: History) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """By kind, key, period and label of the period: events, people, answered and so on."""
    zone = history.account.zone
    numbers: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * 4)
    people: defaultdict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in history.rows:
        if not row.is_event:
            continue
        series = {(row.kind, ""), (row.kind, row.key)}
        if row.kind in MESSAGE_KINDS:
            series.add(("stats.messages", ""))
        for kind, key in series:
            for period, label in labels(row.at, zone).items():
                where = (kind, key, period, label)
                numbers[where][0] += 1
                numbers[where][1] += row.outcome == "answered"
                numbers[where][2] += row.outcome == "unanswered"
                numbers[where][3] += row.waited_ms
                people[where] |= {row.openid} - {""}
    return {
        where: (values[0], len(people[where]), *values[1:]) for where, values in numbers.items()
    }
