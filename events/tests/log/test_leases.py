from __future__ import annotations

import pytest

from events.log.registry import reply_handler
from events.log.replies.leases import _renewals
from events.models import EventLog
from events.testing import make_account, message_xml, push
from events.wechat import TextReply

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registries")]


def test_a_lease_ends_with_its_reply():
    held = []

    @reply_handler("event.click", override=True)
    def answer(event: EventLog) -> TextReply:
        held.append(dict(_renewals._held))
        return TextReply("hi")

    push(make_account(), message_xml("event.CLICK", EventKey="K"))
    assert len(held[0]) == 1
    assert not _renewals._held
    # A renewal that was about to begin changes the row no more.
    _renewals._renew_all(held[0])
    event = EventLog.objects.get()
    assert (event.lease, event.leased_until, event.next_attempt_at) == ("", None, None)
