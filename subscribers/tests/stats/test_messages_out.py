"""Messages of customer service are counted as one counts them by hand."""

from __future__ import annotations

import datetime
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.stats.periods import Period
from events.stats.reading.queries import Span
from events.testing import make_account
from events.tests.stats.histories import ZONES, labels, moments
from subscribers.models import OutgoingMessage, Subscriber
from subscribers.stats.reading.messages_out import messages_out

_STATES = ["sent", "sent", "sent", "unknown", "failed", "queued"]


class MessagesOut(TestCase):
    @settings(max_examples=20, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(_STATES), moments)),
        st.sampled_from(ZONES),
        st.sampled_from(Period),
        st.dates(datetime.date(2026, 3, 1), datetime.date(2026, 11, 5)),
        st.integers(0, 250),
    )
    def test_messages_and_people_by_period(self, sent, zone, period, first, length):
        account, other = make_account(time_zone=zone), make_account("other")
        people = [
            Subscriber.objects.create(account=of, openid=f"o{number}", updated_at=_NOON)
            for number, of in enumerate([account, account, other])
        ]
        messages, persons = defaultdict(int), defaultdict(set)
        for number, state, at in sent:
            OutgoingMessage.objects.create(
                account=people[number].account,
                subscriber=people[number],
                kind="text",
                payload={},
                state=state,
                failure="refused" if state in {"failed", "unknown"} else "",
                window_until=at,
                sent_at=None if state in {"failed", "queued"} else at,
                due_at=at if state == "queued" else None,
            )
            if state == "sent" and number < 2:
                label = labels(at, account.zone)[period.code]
                messages[label] += 1
                persons[label].add(number)
        span = Span(account, first, first + datetime.timedelta(days=length), period)
        for row in messages_out(span):
            label = labels(row.start, account.zone)[period.code]
            assert (row.messages, row.people) == (messages.pop(label, 0), len(persons[label]))
        # What is left lies outside of the span.
        first_label, last_label = (
            labels(slot.start, account.zone)[period.code]
            for slot in (span.slots[0], span.slots[-1])
        )
        assert not [label for label in messages if first_label < label < last_label]


_NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
