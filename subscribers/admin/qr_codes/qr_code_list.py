"""The page that makes several QR codes at once, from a pasted or uploaded list."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action

from events.admin.access import visible_accounts
from events.admin.base import ModelAdmin
from events.admin.hindered import say_hindrances
from events.audit.record import record
from events.wechat.api.qr_codes import CREATE_PATH
from subscribers.admin.qr_codes.qr_code_list_form import SceneListForm, text_of_upload
from subscribers.models import QRScene
from subscribers.qr_codes.create import PermanentCodesUsedUp, SceneTaken, create_qr_codes

__all__ = ["WithListOfCodes"]


class WithListOfCodes(ModelAdmin):
    """The part of the QR codes' admin that makes several codes at once."""

    @action(description=_("Several at once"), url_path="several", permissions=["add"])
    def make_several(self, request: HttpRequest) -> HttpResponse:
        say_hindrances(request, CREATE_PATH)
        back = reverse("admin:subscribers_qrscene_changelist")
        form = self._several_form(request)
        if request.method == "POST" and form.is_valid() and self._make(request, form):
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Several QR codes at once"),
            "form": form,
            "media": self.media,
            "back": back,
        }
        return TemplateResponse(request, "admin/subscribers/qrscene/several.html", context)

    def _several_form(self, request: HttpRequest) -> SceneListForm:
        if request.method != "POST":
            return SceneListForm(accounts=visible_accounts(request))
        data = request.POST.copy()
        try:
            uploaded = text_of_upload(request.FILES)
        except forms.ValidationError as error:
            form = SceneListForm(data, accounts=visible_accounts(request))
            form.add_error("upload", error)
            return form
        # The upload goes into the text box, so that nothing is lost when a line must be corrected.
        typed = data.get("codes", "")
        data["codes"] = "\n".join(text for text in (typed, uploaded) if text.strip())
        return SceneListForm(data, accounts=visible_accounts(request))

    def _make(self, request: HttpRequest, form: SceneListForm) -> bool:
        """Makes the codes of the list; False, with the reason in the form, if that fails."""
        given = form.cleaned_data
        try:
            with transaction.atomic():
                made = create_qr_codes(
                    given["account"],
                    form.new_codes,
                    expire_seconds=given["lifetime"],
                    tags=given["tag_names"],
                    adopt=given["adopt"],
                )
                record(
                    "adopt" if given["adopt"] else "add",
                    QRScene,
                    account=given["account"],
                    details={"scenes": [scene.scene for scene in made]},
                )
        except (SceneTaken, PermanentCodesUsedUp):
            # Another user made a code meanwhile; validating again puts that into the form.
            form.full_clean()
            return False
        if given["adopt"]:
            text = ngettext("%s code adopted.", "%s codes adopted.", len(made))
        else:
            text = ngettext(
                "%s code is being fetched from WeChat.",
                "%s codes are being fetched from WeChat.",
                len(made),
            )
        messages.success(request, text % len(made))
        return True
