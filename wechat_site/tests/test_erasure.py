"""An erasure reaches every table with OpenIDs, also one that is added later."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db.models import NOT_PROVIDED, CharField, Q
from django.utils import timezone

from events.models import MessageText
from events.testing import make_account, message_xml, push
from subscribers.models import Erasure
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.stats.counting.update import update_statistics

pytestmark = pytest.mark.django_db

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
# The first one's words are in an index of their own (events/tests/search); the second one says whom
# to erase.
LEFT_OUT = {MessageText, Erasure}
# Columns of another name that hold an OpenID.
OTHERS = {"from_user", "next_openid", "taken_to"}


def columns_of(model):
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, CharField) and (field.name == "openid" or field.name in OTHERS)
    ]


def value_for(field, account):
    """A value for a column that has no default."""
    now = timezone.now()
    values = {"DateTimeField": now, "DateField": now.date(), "CharField": "x", "TextField": "x"}
    if field.is_relation:
        return account.pk
    return values.get(field.get_internal_type(), 0)


def fill(model, account):
    columns = {
        field.attname: value_for(field, account)
        for field in model._meta.concrete_fields
        if field.default is NOT_PROVIDED and not field.null and field.name != "id"
    }
    model._base_manager.create(**columns | dict.fromkeys(columns_of(model), OPENID))


def tells(model):
    names = [Q(**{name: OPENID}) for name in columns_of(model)]
    return any(model._base_manager.filter(name).exists() for name in names)


def test_no_table_keeps_the_openid_of_an_erased_person():
    account = make_account()
    push(account, message_xml("event.subscribe", openid=OPENID))
    update_statistics()
    models = [model for model in apps.get_models() if columns_of(model) and model not in LEFT_OUT]
    for model in models:
        if not tells(model):
            fill(model, account)
    assert all(map(tells, models))
    erase(request_erasure(account, OPENID, reason=Erasure.Reason.REQUESTED))
    assert [model for model in models if tells(model)] == []
