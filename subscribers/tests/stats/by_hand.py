"""Counts in plain Python what came of QR codes and ways of following, from a history's rows."""

from __future__ import annotations

import datetime
from collections import defaultdict

from django.contrib.auth.models import User
from django.utils import timezone

from events.kinds import Effect, kinds_where
from events.stats.days import Days
from events.stats.reading.queries import Span
from events.stats.series import FOLLOW, SCAN
from events.tests.stats.histories import History
from subscribers.models import Binding, Subscriber
from subscribers.stats.counting.update import count_changed_people
from subscribers.stats.reading.queries import scene_counts
from subscribers.stats.reading.sources import sources

__all__ = ["FollowerHistory", "check_scenes", "check_sources", "following_at", "statements"]

_DAY = datetime.timedelta(days=1)
_RETENTION = (1, 7, 30)


class FollowerHistory(History):
    """A history of people who are also bound, and of whom WeChat tells how they followed."""

    def __init__(self, *given):
        super().__init__(*given)
        self.bound = set()
        self.ways = {}

    def tick(self):
        super().tick()
        count_changed_people()

    def rename(self, openid, pseudonym):
        Subscriber.objects.filter(openid=openid).update(openid=pseudonym)
        super().rename(openid, pseudonym)
        if openid in self.bound:
            self.bound = self.bound - {openid} | {pseudonym}
        self.ways[pseudonym] = self.ways.pop(openid, "")

    def _mark(self, argument):
        """Binds or unbinds a person, or tells a way of following, if the person is known."""
        openid, what = argument
        person = Subscriber.objects.filter(account=self.account, openid=openid).first()
        if person is None:
            return
        if what.startswith("ADD_"):
            Subscriber.objects.filter(pk=person.pk).update(subscribe_scene=what)
            self.ways[openid] = what
        elif what == "unbind":
            Binding.objects.active().filter(subscriber=person).update(unbound_at=timezone.now())
            self.bound.discard(openid)
        elif openid not in self.bound:
            user, _made = User.objects.get_or_create(username=f"{openid} {self._numbers}")
            now = timezone.now()
            Binding.objects.create(
                account=self.account, subscriber=person, user=user, bound_at=now,
                event_id=1, event_time=now,
            )  # fmt: skip
            self.bound.add(openid)
            self._numbers += 1


def kinds_of(effect):
    return kinds_where(lambda kind: kind.effect is effect)


def statements(rows):
    """Of each person, when proofs of following and unfollows were, by the log."""
    said = {}
    for row in rows:
        if not (row.is_folded and row.openid):
            continue
        proofs, unfollows = said.setdefault(row.openid, ([], []))
        if row.kind in [*kinds_of(Effect.FOLLOW), *kinds_of(Effect.SEEN)]:
            proofs.append(row.at)
        elif row.kind in kinds_of(Effect.FOUND_FOLLOWING):
            proofs += [row.at, row.followed_at or row.at]
        elif row.kind in [*kinds_of(Effect.UNFOLLOW), *kinds_of(Effect.FOUND_GONE)]:
            unfollows.append(row.at)
    return said


def following_at(moment, rows):
    """How many people followed just before a moment."""
    return len(_who_followed(moment, statements(rows)))


def _who_followed(moment, said):
    who = set()
    for openid, (proofs, unfollows) in said.items():
        last_unfollow = max([at for at in unfollows if at < moment], default=None)
        if any(at < moment and (last_unfollow is None or at > last_unfollow) for at in proofs):
            who.add(openid)
    return who


def _first_follows(rows):
    first = defaultdict(list)
    for row in rows:
        if row.is_folded and row.openid:
            if row.kind == FOLLOW:
                first[row.openid].append(row.at)
            elif row.kind in kinds_of(Effect.FOUND_FOLLOWING) and row.followed_at:
                first[row.openid].append(row.followed_at)
    return {openid: min(moments) for openid, moments in first.items()}


def _stayed(openid, at, days, said):
    """Whether a person who followed at a moment did so for more than some days; None: for ever."""
    unfollows = said[openid][1]
    end = min([moment for moment in unfollows if moment >= at], default=None)
    if days is None:
        return end is None
    return end != at and (end is None or end > at + days * _DAY)


def _fates(follows, said, numbers):
    """Of follows, as OpenID and moment: by number of days, who was due and who stayed."""
    now = timezone.now()
    due = {n: [each for each in follows if each[1] <= now - n * _DAY] for n in numbers}
    return (
        {n: len(those) for n, those in due.items()},
        {n: sum(_stayed(*each, n, said) for each in those) for n, those in due.items()},
    )


def _acts(history, first, last):
    zone = history.account.zone
    return [
        row
        for row in history.rows
        if row.is_event and row.openid and first <= row.at.astimezone(zone).date() <= last
    ]


def check_scenes(history, spans):
    """Scans, people, follows, who is new, stayed and is bound, by code."""
    said, first_follows = statements(history.rows), _first_follows(history.rows)
    following = _who_followed(timezone.now() + 9999 * _DAY, said)
    for (first, last), numbers in zip(spans, (_RETENTION, (2, 7), _RETENTION), strict=True):
        acts = defaultdict(list)
        for row in _acts(history, first, last):
            if row.kind in {FOLLOW, SCAN} and row.key:
                acts[row.key].append(row)
        expected = {}
        for scene, rows in acts.items():
            came = {}
            for row in rows:
                if row.kind == FOLLOW:
                    came[row.openid] = min(row.at, came.get(row.openid, row.at))
            expected[scene] = (
                len(rows),
                len({row.openid for row in rows}),
                sum(row.kind == FOLLOW for row in rows),
                sum(first_follows[openid] == at for openid, at in came.items()),
                len(came.keys() & following),
                len(came.keys() & history.bound),
                *_fates(list(came.items()), said, numbers),
            )
        found = scene_counts(Span(history.account, first, last), retention_days=numbers)
        assert {
            row.scene: (
                row.scans, row.people, row.follows, row.first_followers, row.still_following,
                row.bound, row.due, row.retained,
            )
            for row in found
        } == expected  # fmt: skip


def check_sources(history, spans):
    """Every follow of the log has one source; a code's is the code, a last follow's its way."""
    said = statements(history.rows)
    for first, last in spans:
        days = Days([history.account], first, last)
        expected = _sources_by_hand(history, first, last, said)
        before = _sources_by_hand(history, days.before.first, days.before.last, said)
        found = {(row.scene, row.way): row for row in sources(days)}
        for key in found.keys() | expected.keys() | before.keys():
            came, lasting, due, retained = expected.get(
                key, (0, 0, dict.fromkeys(_RETENTION, 0), dict.fromkeys(_RETENTION, 0))
            )
            past = before.get(key, (0,))[0]
            if not (came or past):
                continue
            row = found[key]
            assert (row.came, row.came_before, row.still_following) == (came, past, lasting)
            assert (row.due, row.retained) == (due, retained)


def _sources_by_hand(history, first, last, said):
    acts = [row for row in _acts(history, first, last) if row.kind == FOLLOW]
    follows = defaultdict(list)
    for row in acts:
        if row.key:
            follows[row.key, ""].append((row.openid, row.at))
    by_code = {(row.openid, row.at) for row in history.rows if row.kind == FOLLOW and row.key}
    latest = {}
    for row in history.rows:
        if row.kind == FOLLOW and row.openid and row.is_event:
            latest[row.openid] = max(row.at, latest.get(row.openid, row.at))
    zone = history.account.zone
    for openid, at in latest.items():
        if first <= at.astimezone(zone).date() <= last and (openid, at) not in by_code:
            follows["", history.ways.get(openid, "")].append((openid, at))
    found = {
        key: [
            len(those),
            sum(_stayed(*each, None, said) for each in those),
            *_fates(those, said, _RETENTION),
        ]
        for key, those in follows.items()
    }
    nobodys = sum(
        row.kind == FOLLOW and row.is_event
        and first <= row.at.astimezone(zone).date() <= last
        for row in history.rows
    ) - sum(len(those) for those in follows.values())  # fmt: skip
    nothing = dict.fromkeys(_RETENTION, 0)
    if nobodys > 0:
        found.setdefault(("", ""), [0, 0, nothing, nothing])[0] += nobodys
    return found
