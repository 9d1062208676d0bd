"""Fetches the tickets of QR codes from WeChat, for jobs that are due.

Only the worker calls WeChat for a code, so saving a form never waits for WeChat or fails with it.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.delays import WATCHED_CALL
from events.jobs.run import CALL_LEASE, serve
from events.models.job import LeaseLost
from events.platform.client import client_for
from events.platform.failures import EXPLANATIONS
from events.wechat.api import BadAnswer
from events.wechat.api.qr_codes import CREATE_PATH, LONGEST_LIFE, QRCode
from subscribers.models import BindingRequest, QRScene, SignInRequest

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "fetch_binding_tickets", "fetch_scene_tickets", "fetch_sign_in_tickets"]

# What operators read for each `failure`; pages show WeChat's own words beside it.
FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    "permission": _("WeChat makes QR codes with a scene only for certified service accounts."),
    "request": _("WeChat does not accept this code: its scene or its lifetime."),
    "refused": _("WeChat refused to make this code. With errcode and rid its support can say why."),
}


def fetch_scene_tickets(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """Fetches the tickets of campaign codes that are due; returns how many (`serve`)."""
    return serve(QRScene.objects.all(), _fetch_scene_ticket, lease=lease)


def fetch_binding_tickets(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """Fetches the tickets of binding requests that are due; returns how many (`serve`)."""
    rows = BindingRequest.objects.all()
    return serve(rows, _fetch_one_time_ticket, lease=lease, delays=WATCHED_CALL)


def fetch_sign_in_tickets(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """Fetches the tickets of sign-ins that are due; returns how many (`serve`)."""
    rows = SignInRequest.objects.all()
    return serve(rows, _fetch_one_time_ticket, lease=lease, delays=WATCHED_CALL)


def _fetch_scene_ticket(scene: QRScene) -> None:
    now = timezone.now()
    codes = client_for(scene.account).qr_codes
    if scene.is_permanent:
        is_ours = QRScene.objects.finish(scene, **_drawable(codes.create_permanent(scene.scene)))
    else:
        asked = scene.expire_seconds or LONGEST_LIFE
        code = codes.create_temporary(scene.scene, expire_seconds=asked)
        expires_at = now + datetime.timedelta(seconds=code.expire_seconds or asked)
        is_ours = QRScene.objects.finish(scene, **_drawable(code), expires_at=expires_at)
    if not is_ours:
        raise LeaseLost


def _fetch_one_time_ticket(request: BindingRequest | SignInRequest) -> None:
    left = int((request.expires_at - timezone.now()).total_seconds())
    columns: dict[str, str] = {}
    if left >= 1 and request.scene:
        codes = client_for(request.account).qr_codes
        columns = _drawable(
            codes.create_temporary(request.scene, expire_seconds=left, is_secret=True)
        )
    if isinstance(request, BindingRequest):
        is_ours = BindingRequest.objects.finish(request, **columns)
    else:
        is_ours = SignInRequest.objects.finish(request, **columns)
    if not is_ours:
        raise LeaseLost


def _drawable(code: QRCode) -> dict[str, str]:
    if not code.url:
        raise BadAnswer(CREATE_PATH, "no url in the answer")
    return {"ticket": code.ticket, "url": code.url}
