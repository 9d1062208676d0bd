"""Fetches tickets of QR codes from WeChat's platform: what the worker does for rows that are due.

Nobody else calls the platform for a code, so a form is saved and answered whatever becomes of it.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.binding_scenes import mask
from events.models.job import CALL_LEASE, RETRY_DELAYS, Job, JobQuerySet
from events.platform.client import client_for
from events.platform.failures import EXPLANATIONS, FAULT, pauses_after
from events.wechat.api import APIError, BadAnswer
from events.wechat.api.qr_codes import LONGEST_LIFE, QRCode
from subscribers.models import BindingRequest, QRScene

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "fetch_binding_tickets", "fetch_scene_tickets"]

logger = logging.getLogger(__name__)

# A binding request lives for ten minutes, and somebody is looking at the page.
_BINDING_PAUSES = tuple(datetime.timedelta(seconds=seconds) for seconds in (2, 5, 15, 60, 120))

# What operators are told, by `failure`. The platform's own words stand beside it.
FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    "permission": _("WeChat makes QR codes with a scene only for certified service accounts."),
    "request": _("WeChat does not accept this code: its scene, or how long it is to live."),
    "refused": _("WeChat refused to make this code. With errcode and rid its support can say why."),
}

_W = TypeVar("_W", bound=Job)


def fetch_scene_tickets(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """Fetches tickets of campaign codes that are due; otherwise as `JobQuerySet.serve`."""
    scenes = QRScene.objects.all()
    return scenes.serve(
        lambda scene: _serve_one(scenes, scene, _scene_columns, RETRY_DELAYS), lease=lease
    )


def fetch_binding_tickets(*, lease: datetime.timedelta = CALL_LEASE) -> int:
    """The same for the one-time codes of binding requests."""
    requests = BindingRequest.objects.all()
    return requests.serve(
        lambda request: _serve_one(requests, request, _binding_columns, _BINDING_PAUSES),
        lease=lease,
    )


def _scene_columns(scene: QRScene, now: datetime.datetime) -> dict[str, Any]:
    codes = client_for(scene.account).qr_codes
    if scene.is_permanent:
        return _drawable(codes.create_permanent(scene.scene))
    asked = scene.expire_seconds or LONGEST_LIFE
    code = codes.create_temporary(scene.scene, expire_seconds=asked)
    lifetime = datetime.timedelta(seconds=code.expire_seconds or asked)
    return {**_drawable(code), "expires_at": now + lifetime}


def _binding_columns(request: BindingRequest, now: datetime.datetime) -> dict[str, Any]:
    left = int((request.expires_at - now).total_seconds())
    if left < 1 or not request.scene:
        return {}
    codes = client_for(request.account).qr_codes
    return _drawable(codes.create_temporary(request.scene, expire_seconds=left, is_secret=True))


def _drawable(code: QRCode) -> dict[str, Any]:
    if not code.url:
        raise BadAnswer("/cgi-bin/qrcode/create", "no url in the answer")
    return {"ticket": code.ticket, "url": code.url}


def _serve_one(
    rows: JobQuerySet[_W],
    row: _W,
    fetch: Callable[[_W, datetime.datetime], dict[str, Any]],
    pauses: Sequence[datetime.timedelta],
) -> None:
    try:
        columns = fetch(row, timezone.now())
    except APIError as error:
        failed_at = timezone.now()
        rows.retry_later(
            row,
            failure=error.label,
            text=mask(str(error)),
            now=failed_at,
            delays=pauses_after(error, row.attempts, failed_at, pauses),
        )
    except Exception as error:
        logger.exception("No ticket for %s %s", type(row).__name__, row.pk)
        rows.retry_later(
            row,
            failure=FAULT,
            text=mask(f"{type(error).__name__}: {error}"),
            now=timezone.now(),
            delays=(),
        )
    else:
        if not rows.finish(row, **columns):
            logger.warning(
                "The ticket for %s %s came after the lease had ended", type(row).__name__, row.pk
            )
