"""The operators' forms for QR codes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import escape
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from events.answering.rule_words import sentence
from events.platform.hindrances import hindrance
from events.rules.check import problems
from events.wechat.api.qr_codes import CREATE_PATH
from events.wechat.api.tags import LONGEST_TAG
from subscribers.admin.qr_codes.qr_code_fields import (
    TAGS,
    AdoptField,
    LifetimeField,
    TagsField,
    only_account,
)
from subscribers.campaigns.welcome import welcome_of, welcome_rule
from subscribers.models import QRScene
from subscribers.models.scene import new_scene, tag_names_in
from subscribers.qr_codes.create import permanent_codes_left, ticket_in_log

__all__ = ["NewSceneForm", "SceneForm"]


class SceneForm(forms.ModelForm):  # type: ignore[type-arg]
    """The fields of a code that can change; the others are fixed by the printed picture."""

    tag_names = TagsField()
    welcome_text = forms.CharField(
        label=capfirst(_("welcome text")),
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_(
            "The answer to who follows by this code. It is saved among the reply rules of the "
            "account; empty: no rule of its own."
        ),
    )
    publish_welcome = forms.BooleanField(
        label=_("Publish the welcome at once"),
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text=_("Else it waits among the changes of the reply rules."),
    )

    class Meta:
        model = QRScene
        fields = [
            "name", "note", "group", "owner", "runs_from", "runs_until", "follower_tags", "logo",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The form has no fields for a user who may only look.
        if "note" in self.fields:
            self.fields["note"].widget.attrs["rows"] = 4
        if self.instance.pk:
            names = self.instance.tags.values_list("name", flat=True)
            self.initial["tag_names"] = ", ".join(names)
            if "welcome_text" in self.fields:
                self.initial["welcome_text"] = welcome_of(self.instance).text or ""
        if "follower_tags" in self.fields:
            self._no_tags = hindrance(self.instance.account_id, TAGS)
            if self._no_tags is not None:
                # Templates do not escape help texts.
                self.fields["follower_tags"].help_text = escape(str(self._no_tags))

    def clean_welcome_text(self) -> str:
        text: str = self.cleaned_data["welcome_text"].replace("\r\n", "\n").strip()
        if text:
            wrong = problems(welcome_rule(self.instance, text))
            if wrong:
                raise forms.ValidationError([sentence(problem) for problem in wrong])
        return text

    def clean_follower_tags(self) -> str:
        names = tag_names_in(self.cleaned_data["follower_tags"])
        if any(len(name) > LONGEST_TAG for name in names):
            raise forms.ValidationError(_("A tag has at most 30 characters."))
        if self._no_tags is not None and set(names) - set(tag_names_in(self._former_tags())):
            raise forms.ValidationError(str(self._no_tags))
        return ", ".join(names)

    def _former_tags(self) -> str:
        tags: str = self.initial.get("follower_tags", "")
        return tags

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("runs_from"), cleaned.get("runs_until")
        if since and until and until < since:
            self.add_error("runs_until", _("The last day is before the first."))
        return cleaned


class NewSceneForm(SceneForm):
    # A code that does not exist yet has no welcome.
    welcome_text = None  # type: ignore[assignment]
    publish_welcome = None  # type: ignore[assignment]
    lifetime = LifetimeField()
    adopt = AdoptField(_("The code exists already; only name it here"))

    class Meta:
        model = QRScene
        fields = ["account", "name", "scene", "note", "group", "owner"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("account", only_account(self.fields["account"].queryset))  # type: ignore[attr-defined]
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
        if account and not adopts and (hindered := hindrance(account.pk, CREATE_PATH)):
            self.add_error("account", str(hindered))
        elif account and not adopts and not lifetime and not permanent_codes_left(account):
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
