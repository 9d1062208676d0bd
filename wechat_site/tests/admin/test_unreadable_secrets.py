"""Lists and choices name accounts, and read none of their secrets."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import NoReverseMatch, reverse

from events.testing import make_account
from wechat_site.tests.signin.world import make_rows

pytestmark = pytest.mark.django_db


def lose_secrets():
    """As after the loss of a former key of FIELD_ENCRYPTION_KEYS."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE events_officialaccount SET token = 'x', app_secret = 'x'")


def test_no_list_needs_a_secret(operator):
    make_rows("shop", "Spruce Books", "oSPRUCE000000000000000000000", "hello")
    lose_secrets()
    seen = 0
    for model in admin.site._registry:
        try:
            address = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        except NoReverseMatch:
            continue
        assert operator.get(address).status_code == 200, address
        seen += 1
    assert seen > 30


@pytest.mark.parametrize("table", ["events_alertlimits", "subscribers_segment"])
def test_no_choice_of_an_account_needs_a_secret(operator, table):
    make_account(name="Spruce Books")
    lose_secrets()
    assert "Spruce Books" in operator.get(reverse(f"admin:{table}_add")).content.decode()
