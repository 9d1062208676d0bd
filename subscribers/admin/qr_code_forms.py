"""The operators' forms for QR codes."""

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
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from events.models import OfficialAccount
from subscribers.models import QRScene
from subscribers.models.qr_code import new_scene, tag_names_in, validate_tag
from subscribers.qr_codes.create import (
    LONGEST_LIST,
    LONGEST_TAG,
    NewQRCode,
    Problem,
    permanent_codes_left,
    read_list,
    ticket_in_log,
)

__all__ = ["NewSceneForm", "SceneForm", "SceneListForm", "text_of_upload"]

_HOUR = 3600
_DAY = 24 * _HOUR
_LIFETIMES = [
    ("", _("permanent")),
    (_HOUR, _("1 hour")),
    (_DAY, _("1 day")),
    (3 * _DAY, _("3 days")),
    (7 * _DAY, _("7 days")),
    (14 * _DAY, _("14 days")),
    (30 * _DAY, _("30 days")),
]
# Bytes, and problems that are listed.
_LARGEST_UPLOAD = 1024 * 1024
_SHOWN_PROBLEMS = 20


def _only_of(accounts: Any) -> int | None:
    """Chooses the account if there is only one."""
    found = list(accounts.values_list("pk", flat=True)[:2])
    return found[0] if len(found) == 1 else None


class TagsField(forms.CharField):
    """Tags with commas between them; cleaned, a list of names."""

    def __init__(self) -> None:
        super().__init__(
            label=capfirst(_("tags")),
            required=False,
            max_length=500,
            widget=UnfoldAdminTextInputWidget(),
            help_text=_("Words, separated by commas."),
        )

    def clean(self, value: Any) -> list[str]:
        names = tag_names_in(super().clean(value))
        for name in names:
            if len(name) > LONGEST_TAG:
                raise forms.ValidationError(_("A tag has at most 30 characters."))
            validate_tag(name)
        return names


class LifetimeField(forms.TypedChoiceField):
    """Seconds, or None for a permanent code."""

    def __init__(self) -> None:
        super().__init__(
            label=capfirst(_("lifetime")),
            required=False,
            choices=_LIFETIMES,
            coerce=int,
            empty_value=None,
            widget=UnfoldAdminSelectWidget(),
            help_text=_(
                "From the moment the code is fetched. A temporary code can be renewed; WeChat "
                "makes 100,000 permanent ones for an account, and none can be deleted there."
            ),
        )


class AdoptField(forms.BooleanField):
    def __init__(self, label: Any) -> None:
        super().__init__(
            label=label,
            required=False,
            widget=UnfoldBooleanSwitchWidget(),
            help_text=_("Nothing is fetched from WeChat; the printed picture keeps working."),
        )


class SceneForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields of a code that can change: the printed picture fixes the others."""

    tag_names = TagsField()

    class Meta:
        model = QRScene
        fields = ["name", "note"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A user who may only look has no fields.
        if "note" in self.fields:
            self.fields["note"].widget.attrs["rows"] = 4
        if self.instance.pk:
            names = self.instance.tags.values_list("name", flat=True)
            self.initial["tag_names"] = ", ".join(names)


class NewSceneForm(SceneForm):
    lifetime = LifetimeField()
    adopt = AdoptField(_("The code exists already; only name it here"))

    class Meta:
        model = QRScene
        fields = ["account", "name", "scene", "note"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("account", _only_of(self.fields["account"].queryset))  # type: ignore[attr-defined]
        self.fields["scene"].required = False
        self.fields["scene"].help_text = _(
            "1 to 64 characters; letters, digits, _ and - are safest. Empty: a random scene."
        )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        adopts, lifetime = cleaned.get("adopt"), cleaned.get("lifetime")
        account = cleaned.get("account")
        if adopts and not cleaned.get("scene") and "scene" not in self.errors:
            self.add_error("scene", _("Which scene does the code carry?"))
        if adopts and lifetime:
            self.add_error("lifetime", _("An existing code keeps the lifetime it was made with."))
        if account and not adopts and not lifetime and not permanent_codes_left(account):
            self.add_error("lifetime", _("WeChat makes no more permanent codes for this account."))
        if not cleaned.get("scene") and "scene" not in self.errors:
            cleaned["scene"] = new_scene()
        self.instance.is_permanent = not lifetime
        self.instance.expire_seconds = lifetime
        if adopts:
            self.instance.due_at = None
            if account and cleaned.get("scene"):
                self.instance.ticket = ticket_in_log(account, cleaned["scene"])
        return cleaned


class SceneListForm(forms.Form):
    """Many codes at once; `problems` has the problems of the lines."""

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
        self.initial.setdefault("account", _only_of(accounts))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        account, text = cleaned.get("account"), cleaned.get("codes", "")
        if account is None or "codes" in self.errors:
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

    Spreadsheets save UTF-8, what is usual in China, or UTF-16 as "Unicode text". Raises
    ValidationError for what is no text.
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
