"""A QR code is saved while the worker fetches its ticket."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from events.jobs.run import CALL_LEASE
from events.testing import make_account
from subscribers.models import QRScene
from subscribers.qr_codes.create import NewQRCode, create_qr_code
from subscribers.tests.locks import InAnotherThread
from subscribers.tests.webhooks.meanwhile import before_update
from wechat_site.tests.signin.people import browser_of


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_form_of_a_code_does_not_undo_the_ticket_that_came_meanwhile():
    code = create_qr_code(make_account(), NewQRCode("Poster", "poster"))
    browser = browser_of(User.objects.create_superuser("root"))
    [claimed] = QRScene.objects.claim(timezone.now(), limit=1, lease=CALL_LEASE)

    def the_ticket_comes():
        address = "http://weixin.qq.com/q/1"
        finish = InAnotherThread(lambda: QRScene.objects.finish(claimed, ticket="t", url=address))
        finish.start()
        finish.join()
        assert finish.failed == []

    page = reverse("admin:subscribers_qrscene_change", args=[code.pk])
    form = {"name": "Poster at the door", "tag_names": "north", "group": "doors"}
    with before_update("subscribers_qrscene", the_ticket_comes):
        assert browser.post(page, form).status_code == 302
    code.refresh_from_db()
    assert (code.name, code.group) == ("Poster at the door", "doors")
    assert (code.ticket, code.state) == ("t", QRScene.State.READY)
