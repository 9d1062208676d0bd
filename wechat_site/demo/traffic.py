"""The traffic of the demo: the acts of followers, past and present, and those of the staff."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from random import Random

from django.db import DatabaseError, connection
from django.utils import timezone

from events.callback.callback_address import callback_path
from events.models import EventLog, OfficialAccount
from events.simulator import Delivery, Population, PushSender, disturbed, paced, undelivered
from events.simulator.fake_api import (
    ORDINARY_LATENCY,
    FakeWeChatAPI,
    Issued,
    PopulationFollowers,
    acts_on,
    noted,
)
from subscribers.models import QRScene
from wechat_site.demo.known_state import add_account, known_followers

from .past import (
    date_back,
    past_acts,
    people_from_before,
    reaching_the_site,
    unnoticed_acts,
)
from .shop import FORMER_MENU, SCENE_ELSEWHERE, repertoire, ticket_elsewhere
from .staff import Staff

__all__ = ["PAST_EVENTS", "PER_SECOND", "Demonstration"]

# Defaults of the command.
PAST_EVENTS = 1500
PER_SECOND = 1.5

# The share of follows and unfollows that do not reach the site, for follower syncs to find.
_MISSED = 0.03
# How many acts of followers there are for one act of the staff.
_ACTS_PER_DEED = 15
# Seconds that running pushes get to finish.
_GRACE = 6
# Seconds to wait for the worker to fetch the first codes and the former menu.
_WAIT_FOR_WORKER = 60


class Demonstration:
    """The followers, their platform, and the people on the site.

    Serve `platform` at the address where the site calls WeChat. Call `start` when the site answers:
    it begins the traffic in threads of its own. `stop` ends it.
    """

    def __init__(
        self,
        account: OfficialAccount,
        *,
        past_events: int = PAST_EVENTS,
        per_second: float = PER_SECOND,
    ) -> None:
        self._account = account
        self._past_events = past_events
        self._per_second = per_second
        self._stop = threading.Event()
        self._began = int(account.created_at.timestamp())
        # The past is the same each time, so the next start completes one that was interrupted:
        # pushes that have arrived already are repetitions.
        self._needs_past = not _has_present(account)
        self._random = Random(account.original_id) if self._needs_past else Random()
        self._population = Population(
            account.original_id,
            random=self._random,
            known=(
                people_from_before(self._random, self._began)
                if self._needs_past
                else known_followers(account)
            ),
        )
        self.platform = FakeWeChatAPI(random=Random(), latency=ORDINARY_LATENCY)
        people = PopulationFollowers(self._population)
        self._there = add_account(self.platform, account, people, menu=FORMER_MENU)
        self._there.hang(
            Issued(SCENE_ELSEWHERE, ticket_elsewhere(account), "", self._began, expires_at=None)
        )
        self._staff = Staff(account, Random())
        self._staff.look_at_menu()
        self._pushing: PushSender | None = None
        self._threads: list[threading.Thread] = []

    def start(self, site_url: str) -> None:
        """Begins to push to the account's callback at this site."""
        self._pushing = PushSender(
            site_url + callback_path(self._account),
            self._account.credentials(timezone.now()),
            original_id=self._account.original_id,
        )
        # While the site stops, the last pushes are lost, which needs no warning.
        logging.getLogger("events.simulator").setLevel(logging.ERROR)
        self._threads = [threading.Thread(target=self._live, args=(self._pushing,), daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        """Ends the traffic within six seconds."""
        self._stop.set()
        if self._pushing is not None:
            self._pushing.stop()
        deadline = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))

    def _live(self, pushing: PushSender) -> None:
        staff = self._staff
        self._wait_until(self._has_codes)
        self._wait_until(staff.publish_menu)
        self._population.repertoire = repertoire(self._account)
        if self._needs_past:
            connection.close()
            pushing.deliver(self._past(), concurrency=4)
            if not self._stop.is_set():
                staff.do(self._date_back)
            for push in unnoticed_acts(self._population, int(time.time())):
                self._there.note_push(push)
        if self._stop.is_set():
            return
        staff.do(staff.sync_followers)
        if self._needs_past:
            staff.do(staff.read_figures_again)
            staff.do(staff.begin)
        every = _ACTS_PER_DEED / self._per_second
        working = threading.Thread(
            target=staff.work, args=(self._stop,), kwargs={"every": every}, daemon=True
        )
        self._threads.append(working)
        working.start()
        connection.close()
        pushing.deliver(self._present(), concurrency=2)

    def _past(self) -> Iterator[Delivery]:
        happened = past_acts(
            self._population, self._random, began=self._began, count=self._past_events
        )
        return disturbed(
            reaching_the_site(noted(self._there, happened), self._random),
            duplicates=0.03,
            reorder=0.1,
            random=self._random,
        )

    def _date_back(self) -> None:
        date_back(self._account)

    def _present(self) -> Iterator[Delivery]:
        clock = iter(lambda: int(time.time()), None)
        happening = undelivered(
            acts_on(self._there, self._population, clock), share=_MISSED, random=self._random
        )
        return paced(
            disturbed(happening, duplicates=0.05, reorder=0.05, random=self._random),
            rate=self._per_second,
            stop=self._stop,
            random=self._random,
        )

    def _has_codes(self) -> bool:
        waiting = QRScene.objects.filter(account=self._account).waiting()
        return not waiting.exists()

    def _wait_until(self, happened: Callable[[], bool]) -> None:
        """Waits for the worker, but only for a while."""
        deadline = time.monotonic() + _WAIT_FOR_WORKER
        while time.monotonic() < deadline and not self._stop.wait(0.2):
            # The database may be busy.
            with contextlib.suppress(DatabaseError):
                if happened():
                    return


def _has_present(account: OfficialAccount) -> bool:
    """Whether the site has pushes from after the simulated past."""
    pushed = EventLog.objects.filter(account=account, source=EventLog.Source.CALLBACK)
    return pushed.filter(event_time__gte=account.created_at).exists()
