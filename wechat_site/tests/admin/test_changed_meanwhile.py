"""No form of the admin undoes what a colleague saved after it was opened."""

from __future__ import annotations

import pytest
from allauth.idp.oidc.models import Client
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from events.audit.watched_tables import is_watched
from events.models import AlertChannel, AuditEntry, MediaFile
from subscribers.models.scene import SceneTag
from wechat_site.tests.signin.world import make_rows

pytestmark = pytest.mark.django_db


def models_with_forms(request):
    return [
        model
        for model, page in admin.site._registry.items()
        if is_watched(model) and page.has_change_permission(request)
    ]


def test_each_form_tells_that_a_colleague_saved_the_row_meanwhile(operator, rf):
    rows = make_rows("spruce", "Spruce Books", "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E", "a red bicycle")
    MediaFile.objects.create(
        account=rows.account, kind=MediaFile.Kind.IMAGE, title="poster", size=1
    )
    AlertChannel.objects.create(name="team", url="https://example.com/hook")
    Client.objects.create(name="Forum")
    SceneTag.named(["poster"])
    request = rf.get("/")
    request.user = User.objects.get(username="operator")
    asked = set()
    for model in models_with_forms(request):
        row = model._default_manager.first()
        assert row is not None, f"{model._meta.label} has no row to try"
        page = reverse(
            f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]
        )
        assert b'name="seen_change"' in operator.get(page).content, page
        AuditEntry.objects.create(
            at=timezone.now(),
            way=AuditEntry.Way.PAGE,
            user_name="Li Lei",
            act="change",
            model=model._meta.label_lower,
            object_id=str(row.pk),
            changes={"name": ["before", "after"]},
        )
        refused = operator.post(page, {"seen_change": 0})
        assert "Li Lei saved this at" in refused.content.decode(), page
        asked.add(model._meta.label_lower)
    assert {"events.replyrule", "subscribers.qrscene", "auth.user", "auth.group"} <= asked
