"""The form for a list of QR codes, pasted or uploaded."""

from __future__ import annotations

import codecs
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from events.models import OfficialAccount
from events.platform.hindrances import hindrance
from events.wechat.api.qr_codes import CREATE_PATH
from subscribers.admin.qr_codes.qr_code_fields import (
    AdoptField,
    LifetimeField,
    TagsField,
    only_account,
)
from subscribers.qr_codes.create import (
    LONGEST_LIST,
    NewQRCode,
    Problem,
    permanent_codes_left,
    read_list,
)

__all__ = ["SceneListForm", "text_of_upload"]

_LARGEST_UPLOAD = 1024 * 1024  # bytes
_SHOWN_PROBLEMS = 20


class SceneListForm(forms.Form):
    """Many codes at once. `problems` lists what is wrong with lines."""

    account = forms.ModelChoiceField(
        label=capfirst(_("Official Account")),
        queryset=OfficialAccount.objects.all(),
        widget=UnfoldAdminSelectWidget(),
    )
    lifetime = LifetimeField()
    tag_names = TagsField()
    adopt = AdoptField(_("The codes exist already; only name them here"))
    codes = forms.CharField(
        label=capfirst(_("codes")),
        strip=False,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 14, "wrap": "off"}),
        help_text=_(
            "One code in each line: a name; or name, scene and note, with tabs or commas between "
            "them, as copied from a spreadsheet. At most 5,000 lines."
        ),
    )
    upload = forms.FileField(
        label=capfirst(_("or a file")),
        required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.tsv,.txt,text/plain,text/csv"}),
        help_text=_("The same list as text or CSV. Its lines follow those above."),
    )

    def __init__(self, *args: Any, accounts: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.new_codes: list[NewQRCode] = []
        self.problems: list[Problem] = []
        self.fields["account"].queryset = accounts  # type: ignore[attr-defined]
        self.initial.setdefault("account", only_account(accounts))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        account, text = cleaned.get("account"), cleaned.get("codes", "")
        if account is None or "codes" in self.errors:
            return cleaned
        if not cleaned.get("adopt") and (hindered := hindrance(account.pk, CREATE_PATH)):
            self.add_error("account", str(hindered))
            return cleaned
        if max(text.count("\n"), text.count("\r")) >= 2 * LONGEST_LIST:
            self.add_error("codes", _("The list has more than 5,000 lines."))
            return cleaned
        self.new_codes, self.problems = read_list(text, account)
        if self.problems:
            self._tell_problems()
        elif not self.new_codes:
            self.add_error("codes", _("The list is empty."))
        elif len(self.new_codes) > LONGEST_LIST:
            self.add_error("codes", _("The list has more than 5,000 lines."))
        elif cleaned.get("adopt"):
            self._check_adopted(cleaned)
        elif not cleaned.get("lifetime"):
            left = permanent_codes_left(account)
            if len(self.new_codes) > left:
                self.add_error(
                    "lifetime",
                    gettext("WeChat makes only %s more permanent codes for this account.") % left,
                )
        return cleaned

    def _tell_problems(self) -> None:
        shown: list[str] = [str(problem) for problem in self.problems[:_SHOWN_PROBLEMS]]
        more = len(self.problems) - len(shown)
        if more:
            shown.append(
                ngettext("%s more line is wrong.", "%s more lines are wrong.", more) % more
            )
        shown.append(gettext("Nothing was made yet. Put these lines right and send all again."))
        self.add_error("codes", forms.ValidationError(shown))

    def _check_adopted(self, cleaned: dict[str, Any]) -> None:
        if cleaned.get("lifetime"):
            self.add_error("lifetime", _("An existing code keeps the lifetime it was made with."))
        if any(not code.scene for code in self.new_codes):
            self.add_error("codes", _("A code that exists already needs its scene in the line."))


def text_of_upload(files: MultiValueDict[str, UploadedFile[bytes]]) -> str:
    """The text of an uploaded list; "" if there is none.

    Spreadsheets save as UTF-8, as GB 18030 (usual in China), or as UTF-16 ("Unicode text").
    Raises ValidationError if the file is too large or is not text.
    """
    upload = files.get("upload")
    if upload is None:
        return ""
    if (upload.size or 0) > _LARGEST_UPLOAD:
        raise forms.ValidationError(_("The file is larger than 1 MB."))
    content = upload.read()
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise forms.ValidationError(_("The file is no text: save the table as CSV."))
