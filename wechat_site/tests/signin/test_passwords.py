"""Changing one's password while an administrator changes the user."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from subscribers.tests.locks import InAnotherThread
from subscribers.tests.webhooks.meanwhile import before_update
from wechat_site.tests.signin.people import browser_of

FORMER, PRESENT = "copper-kettle-on-a-hill", "seven-herons-over-ice"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_who_changes_the_password_keeps_no_right_that_is_taken_away_meanwhile():
    user = User.objects.create_superuser("anna", password=FORMER)
    browser = browser_of(user)

    def take_away():
        rows = User.objects.filter(pk=user.pk)
        taking = InAnotherThread(lambda: rows.update(is_active=False, is_superuser=False))
        taking.start()
        taking.join()
        assert taking.failed == []

    form = {"oldpassword": FORMER, "password1": PRESENT, "password2": PRESENT}
    with before_update("auth_user", take_away):
        assert browser.post(reverse("account_change_password"), form).status_code == 302
    user.refresh_from_db()
    assert user.check_password(PRESENT)
    assert (user.is_active, user.is_superuser) == (False, False)
