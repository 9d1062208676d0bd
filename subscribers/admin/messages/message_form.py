"""The form in which operators write a message to a follower."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from events.admin.media.media_widget import MediaSelect, library
from events.media.lend import file_of
from events.wechat.api.custom_messages import (
    LONGEST_TEXT,
    Choice,
    ChoiceMessage,
    CustomMessage,
    ImageMessage,
    NewsMessage,
    TextMessage,
    VideoMessage,
    VoiceMessage,
)
from events.wechat.replies import Article
from subscribers.messages.conversation import KINDS

__all__ = ["MessageForm"]

_MOST_CHOICES = 10
_MEDIA = ("image", "voice", "video")


class MessageForm(forms.Form):
    """A message as an operator writes it. A valid form has the message in `message`."""

    kind = forms.ChoiceField(
        label=capfirst(_("kind")),
        choices=[(kind, KINDS[kind]) for kind in ("text", *_MEDIA, "news", "msgmenu")],
        initial="text",
        widget=UnfoldAdminRadioSelectWidget(radio_style=admin.HORIZONTAL),
    )
    content = forms.CharField(
        label=capfirst(_("text")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("It may contain links, written as in HTML: &lt;a href=…&gt;"),
    )
    image = forms.CharField(label=capfirst(_("picture")), required=False)
    voice = forms.CharField(label=capfirst(_("voice")), required=False)
    video = forms.CharField(label=capfirst(_("video")), required=False)
    title = forms.CharField(
        label=capfirst(_("title")), required=False, widget=UnfoldAdminTextInputWidget()
    )
    description = forms.CharField(
        label=capfirst(_("description")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    url = forms.URLField(
        label=capfirst(_("link")),
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget(),
    )
    pic_url = forms.URLField(
        label=capfirst(_("address of the picture")),
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget(),
    )
    head = forms.CharField(
        label=capfirst(_("question")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    choices = forms.CharField(
        label=capfirst(pgettext_lazy("to a question", "answers")),
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_(
            "One answer on each line. A tap arrives as a text message with the answer's number."
        ),
    )
    tail = forms.CharField(
        label=capfirst(_("closing words")), required=False, widget=UnfoldAdminTextInputWidget()
    )

    parts = {
        "text": ("content",),
        **{kind: (kind,) for kind in ("image", "voice", "video")},
        "news": ("title", "description", "url", "pic_url"),
        "msgmenu": ("head", "choices", "tail"),
    }
    _REQUIRED = {
        "text": ("content",),
        **{kind: (kind,) for kind in ("image", "voice", "video")},
        "news": ("title", "url"),
        "msgmenu": ("head", "choices"),
    }

    message: CustomMessage

    def __init__(self, *args: Any, account: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._account = account
        files = library(account)
        for kind in _MEDIA:
            widget = MediaSelect([file for file in files if file.kind == kind])
            self.fields[kind].widget = widget
            self.fields[kind].help_text = _("A file of the media library.")

    def fieldsets(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields of each kind, for the template."""
        return [(kind, [self[name] for name in names]) for kind, names in self.parts.items()]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("kind", "")
        for name in self.parts.get(kind, ()):
            # A browser ends lines with two characters, and WeChat counts both.
            text = cleaned[name] = cleaned.get(name, "").replace("\r\n", "\n")
            if name in self._REQUIRED[kind] and not text and name not in self.errors:
                self.add_error(name, self.fields[name].error_messages["required"])
            elif len(text.encode()) > LONGEST_TEXT:
                self.add_error(
                    name, _("WeChat takes at most 2048 bytes: about 680 Chinese characters.")
                )
        if kind in _MEDIA and not self.errors and file_of(cleaned[kind], self._account) is None:
            self.add_error(kind, _("Choose a file of the media library."))
        others = {name for names in self.parts.values() for name in names}
        for name in others - set(self.parts.get(kind, ())):
            # Ignores what was typed under another kind.
            self.errors.pop(name, None)
        choices = [line.strip() for line in cleaned.get("choices", "").splitlines() if line.strip()]
        if kind == "msgmenu" and len(choices) > _MOST_CHOICES:
            self.add_error("choices", _("At most ten answers."))
        if not self.errors:
            self.message = _message(kind, cleaned, choices)
        return cleaned


def _message(kind: str, fields: dict[str, Any], choices: list[str]) -> CustomMessage:
    match kind:
        case "image":
            return ImageMessage(fields["image"])
        case "voice":
            return VoiceMessage(fields["voice"])
        case "video":
            return VideoMessage(fields["video"])
        case "news":
            return NewsMessage(
                Article(fields["title"], fields["description"], fields["pic_url"], fields["url"])
            )
        case "msgmenu":
            numbered = tuple(
                Choice(str(number), content) for number, content in enumerate(choices, start=1)
            )
            return ChoiceMessage(fields["head"], numbered, fields["tail"])
        case _:
            return TextMessage(fields["content"])
