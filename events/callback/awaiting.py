"""Lets a push wait for its reply as long as WeChat does, through all three of WeChat's tries.

So the reply of a handler that takes 8 seconds goes out with the second try, and a reply after 13
seconds with the third. All tries of a push that come to this process wait for one run of the
handler.
If another process answers the row, one thread of this process asks the database ten times a second
whether it has finished, with one query for all such rows.

The front waits in a coroutine, the view in a thread. Both use `Awaiting`: they wait for its
`future`, and call `step` when the future is done or the time is up.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, wait

from django.conf import settings
from django.utils import timezone

from events.callback.lease_watch import watch
from events.callback.receive import ACKNOWLEDGED, TRY_AGAIN, Answer, Arrival, sealed
from events.callback.reply_runs import ReplyRun, runs
from events.db.transactions import release_connection
from events.log.process import fold_if_missing
from events.log.replies.reply_ways import (
    TRIES,
    hand_over,
    hold,
    leave_to_worker,
    take_back,
    written,
)
from events.models import EventLog, OfficialAccount
from events.wechat import TextReply

__all__ = ["Awaiting", "begin_reply", "wait_in_thread"]

logger = logging.getLogger(__name__)

# The next three are multiples of settings.CALLBACK_SECONDS, the time that WeChat waits.
# A reply must be made within this share; the network needs the rest.
_OUR_SHARE = 0.9
# After this the last of WeChat's tries has begun for certain.
_LAST_TRY_AFTER = 1.8
# After this WeChat has closed the connection for certain.
_NOBODY_AFTER = 1.1


def begin_reply(arrival: Arrival, is_new: bool) -> Answer | Awaiting:
    """Returns the answer to a stored push, or an `Awaiting` to wait with. Raises nothing."""
    try:
        return _begin(arrival, is_new)
    except Exception:
        # The row is committed, so the worker can still process it.
        logger.exception("Event %s is stored but was not answered", arrival.event.pk)
        return ACKNOWLEDGED


def wait_in_thread(awaiting: Awaiting) -> Answer:
    """Waits in the thread of the request until the answer is there, and returns it."""
    while True:
        # The wait takes seconds and needs no database.
        release_connection()
        wait([awaiting.future], awaiting.seconds_left())
        answer = awaiting.step()
        if answer is TRY_AGAIN:
            time.sleep(awaiting.seconds_to_the_end())
        if answer is not None:
            return answer


def _begin(arrival: Arrival, is_new: bool) -> Answer | Awaiting:
    event = arrival.event
    if not is_new:
        # The follower may not have got the first answer. So a duplicate gets the stored reply,
        # waits for the one that is being made, or makes it if the first attempt failed.
        event = EventLog.objects.with_key_of(event).select_related("account").get()
        if not event.awaits_outcome:
            return _stored_answer(arrival, event)
        if event.folded_at is None and not fold_if_missing(event):
            return ACKNOWLEDGED
    awaiting = Awaiting(arrival, event)
    return awaiting.join(event) or awaiting


def _stored_answer(arrival: Arrival, event: EventLog) -> Answer:
    """Returns the answer that a processed row holds."""
    if event.reply and event.answered_by != EventLog.AnsweredBy.REPLY:
        event = hand_over(event)
    is_ours = event.answered_by == EventLog.AnsweredBy.REPLY
    return sealed(arrival, event.passive_reply) if is_ours else ACKNOWLEDGED


class Awaiting:
    """A push whose reply is being made. Wait for `future`, then take a `step`."""

    def __init__(self, arrival: Arrival, event: EventLog) -> None:
        self._arrival = arrival
        self._event = event
        # WeChat counts its seconds from the arrival of the push, not from now.
        since = (timezone.now() - arrival.push.now).total_seconds()
        self._began = time.monotonic() - since
        self._run: ReplyRun | None = None
        self.future: Future[EventLog | None] = Future()

    def join(self, row: EventLog) -> Answer | None:
        """Starts the handler, or waits for the run or process that makes the reply already.

        Returns an answer if no thread is free for the handler, else None.
        """
        if row.leased_until is not None and row.leased_until > timezone.now():
            run = runs.of(row)
            self.future = run.future if run else watch.look_at(row)
        else:
            run = runs.begin(self, row)
            if run is None:
                return self._acknowledge(for_worker=True)
            self.future = run.future
        self._run = run
        if run is not None and self not in run.listeners:
            run.listeners.append(self)
        return None

    def is_listening(self) -> bool:
        """Whether WeChat still waits long enough for a reply to reach it."""
        return time.monotonic() < self._time_after(_OUR_SHARE)

    def seconds_left(self) -> float:
        """Returns the seconds until `step` must be called."""
        return max(0.0, self._time_after(_OUR_SHARE) - time.monotonic())

    def seconds_to_the_end(self) -> float:
        """Returns the seconds until WeChat has stopped waiting for certain."""
        return max(0.0, self._time_after(_NOBODY_AFTER) - time.monotonic())

    def step(self) -> Answer | None:
        """Returns the answer, or None if the caller must go on waiting. Raises nothing."""
        try:
            return self._step()
        except Exception:
            logger.exception("Event %s is stored but was not answered", self._event.pk)
            return ACKNOWLEDGED

    def leave(self) -> None:
        """Withdraws: the client has closed the connection."""
        row = self.future.result() if self.future.done() else None
        if row is not None:
            self._give_up(row)
        else:
            self._stop_listening()

    def _give_up(self, row: EventLog) -> None:
        """Gives back a reply that was made for this connection, but came too late for it."""
        self._stop_listening()
        if self._run is None or not self._run.listeners:
            take_back(row)

    def _stop_listening(self) -> None:
        if self._run is not None and self in self._run.listeners:
            self._run.listeners.remove(self)

    def _time_after(self, share: float) -> float:
        return self._began + share * float(settings.CALLBACK_SECONDS)

    def _step(self) -> Answer | None:
        if self.future.done():
            row = self.future.result()
            if row is not None and time.monotonic() < self._time_after(1):
                return self._answer_from(row)
            if row is not None:
                self._give_up(row)
            elif self.is_listening():
                return self._look_again()
        if self.is_listening():
            return None
        self._stop_listening()
        if self._run is not None and runs.withdraw(self._run):
            # No thread became free in all this time; the next try would find none either.
            return self._acknowledge(for_worker=True)
        return self._acknowledge() if self._is_last_try() else TRY_AGAIN

    def _look_again(self) -> Answer | None:
        """Reads what the other process made of the row; joins again if it made nothing."""
        row = EventLog.objects.with_key_of(self._event).select_related("account").get()
        if not row.awaits_outcome or row.status == EventLog.Status.FAILED:
            return self._answer_from(row)
        return self.join(row)

    def _answer_from(self, row: EventLog) -> Answer:
        # Acknowledge a failed row, because the worker tries it again.
        return ACKNOWLEDGED if row.awaits_outcome else _stored_answer(self._arrival, row)

    def _is_last_try(self) -> bool:
        row = EventLog.objects.with_key_of(self._event).only("delivery_count", "received_at").get()
        age = (self._arrival.push.now - row.received_at).total_seconds()
        return row.delivery_count >= TRIES or age > _LAST_TRY_AFTER * settings.CALLBACK_SECONDS

    def _acknowledge(self, *, for_worker: bool = False) -> Answer:
        """Returns an answer that stops WeChat's tries although the reply is not there.

        `for_worker` makes the row due, because no thread here runs its handler.
        """
        answer = ACKNOWLEDGED
        account = self._arrival.push.account
        if account.late_answers == OfficialAccount.LateAnswers.NEXT:
            row = hold(self._event)
            if row is not None:
                answer = _stored_answer(self._arrival, row)
            elif account.hold_text:
                text = TextReply(account.hold_text)
                xml = written(text, self._arrival.event, timezone.now())
                answer = sealed(self._arrival, xml)
        if for_worker:
            leave_to_worker(self._event)
        return answer
