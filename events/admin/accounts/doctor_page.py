"""The doctor's page of an account: the last findings, a new visit, the call of a rid."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from events.admin.accounts.shown_rights import shown_rights
from events.admin.html import moment
from events.audit.record import record
from events.doctor import Line, Visit, examine, keep, last_examination
from events.models import OfficialAccount
from events.platform.failures import explanation
from events.platform.rid import RID_FAILURES, ask_about_rid, rid_in
from events.wechat.api import APIError, Refused

__all__ = ["doctors_page"]

_COLOURS = {"error": "danger", "warning": "warning", "note": "info"}
_WORDS = {"error": _("broken"), "warning": _("risky"), "note": _("to know")}


def doctors_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Shows the last visit; a POST makes one, which may take half a minute."""
    account = model_admin.get_object(request, object_id)
    if account is None:
        raise Http404
    if not model_admin.has_change_permission(request, account):
        raise PermissionDenied
    asked: dict[str, Any] = {}
    if request.method == "POST" and "rid" in request.POST:
        asked = _about_rid(account, request.POST["rid"])
    elif request.method == "POST":
        examination = examine(account, Visit(_line(request)))
        keep(examination)
        record("examine", account, name=account.name)
        if not examination.findings:
            messages.success(request, _("All is well."))
        return HttpResponseRedirect(
            reverse("admin:events_officialaccount_doctor", args=[object_id])
        )
    last = last_examination(account)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": account,
        "title": _("Examination of %s") % account,
        "line": _line(request).base,
        "at": moment(last.at, account) if last else "",
        "findings": [
            {
                "what": finding.what,
                "remedy": finding.remedy,
                "colour": _COLOURS[finding.severity],
                "severity": _WORDS[finding.severity],
            }
            for finding in (last.findings if last else [])
        ],
        **shown_rights(account),
        **asked,
        "back": reverse("admin:events_officialaccount_change", args=[object_id]),
    }
    return TemplateResponse(request, "admin/events/officialaccount/doctor.html", context)


def _about_rid(account: OfficialAccount, text: str) -> dict[str, Any]:
    """Returns WeChat's record of the call, or the reason why there is none."""
    rid = rid_in(text)
    if not rid:
        return {"rid": text[:300], "rid_failure": RID_FAILURES[76002]}
    try:
        call = ask_about_rid(account, rid)
    except APIError as error:
        code = error.errcode if isinstance(error, Refused) else 0
        words = RID_FAILURES.get(code) or explanation(error.label) or str(error)
        return {"rid": rid, "rid_failure": words}
    return {"rid": rid, "call": call, "call_at": moment(call.at, account)}


def _line(request: HttpRequest) -> Line:
    """Returns the site's public address; without PUBLIC_URL the address of this request."""
    base = settings.PUBLIC_URL
    if not base:
        asked = urlsplit(request.build_absolute_uri("/"))
        base = f"{asked.scheme}://{asked.netloc}"
    return Line(base, settings.CALLBACK_SECONDS)
