"""The form of one answer of a reply rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from events.admin.media.media_widget import MediaSelect
from events.answering.rule_words import ANSWERS, FIELDS
from events.models import MediaFile
from events.rules.check import LONGEST
from events.rules.data import Answer, AnswerKind
from events.rules.rule_answers import FIELDS as FIELDS_OF

__all__ = ["AnswerForm", "answer_forms", "input_class"]

_LONG = {"content", "description"}
# The kinds of answers that consist of a file.
_FILE_KINDS = {"image", "voice", "video"}


def input_class() -> str:
    """Returns the theme's CSS classes, for fields for which it has no widget."""
    drawn: str = UnfoldAdminTextInputWidget().attrs["class"]
    return drawn


class AnswerForm(forms.Form):
    """One answer. The form of the whole rule finds its mistakes."""

    def __init__(
        self, answer: Answer | None, *, prefix: str, data: Any, files: Sequence[MediaFile]
    ) -> None:
        super().__init__(data, prefix=prefix)
        self._files = {f"library:{file.pk}": file.kind for file in files}
        self.is_later = prefix.startswith("later")
        kinds = [("", _("(none)")), *((kind, name) for kind, name in ANSWERS.items())]
        self.fields["kind"] = forms.ChoiceField(
            label=capfirst(FIELDS["kind"]), required=False, choices=kinds,
            initial=answer.kind.value if answer else "",
            widget=UnfoldAdminSelectWidget(attrs={"data-field": "kind"}),
        )  # fmt: skip
        if self.is_later:
            self.fields["delay"] = forms.IntegerField(
                label=capfirst(FIELDS["delay"]), required=False, min_value=0,
                initial=answer.delay if answer else 60,
                widget=forms.NumberInput({"data-field": "delay", "class": input_class()}),
            )  # fmt: skip
        for name in LONGEST:
            widget = UnfoldAdminTextareaWidget if name in _LONG else UnfoldAdminTextInputWidget
            attrs = {"data-field": name, "autocomplete": "off"}
            if name in _LONG:
                attrs["rows"] = "3"
            self.fields[name] = forms.CharField(
                label=capfirst(FIELDS[name]), required=False, strip=name not in _LONG,
                initial=getattr(answer, name) if answer else "", widget=widget(attrs=attrs),
            )  # fmt: skip

        # A thumbnail is a picture.
        pictures = [file for file in files if file.kind == MediaFile.Kind.IMAGE]
        self._written: dict[str, str] = {}
        for name, offered in (("media_id", files), ("thumb_media_id", pictures)):
            self._written[name] = getattr(answer, name) if answer else ""
            self.fields[name].widget = MediaSelect(
                offered, current=self._written[name], attrs={"data-field": name}
            )

    def clean_media_id(self) -> str:
        return self._chosen("media_id", self.cleaned_data.get("kind"))

    def clean_thumb_media_id(self) -> str:
        return self._chosen("thumb_media_id", MediaFile.Kind.IMAGE)

    def _chosen(self, name: str, kind: str | None) -> str:
        chosen: str = self.cleaned_data[name]
        is_file = chosen.startswith("library:")
        if is_file and kind in _FILE_KINDS and self._files.get(chosen) != kind:
            raise forms.ValidationError(_("Choose a file of this kind."))
        if chosen and not is_file and chosen != self._written[name]:
            raise forms.ValidationError(_("Choose a file of the media library."))
        return chosen

    @property
    def rows(self) -> list[tuple[str, forms.BoundField]]:
        return [(name, self[name]) for name in self.fields]

    @property
    def is_filled(self) -> bool:
        return bool(self["kind"].value())

    def answer(self) -> Answer | None:
        """Returns the written answer, None if there is none. Call it only after validation."""
        kind = self.cleaned_data.get("kind")
        if not kind:
            return None
        texts = {
            name: str(self.cleaned_data.get(name) or "").replace("\r\n", "\n")
            for name in FIELDS_OF[AnswerKind(kind)]
        }
        delay = self.cleaned_data.get("delay") or 0
        return Answer(AnswerKind(kind), **texts, delay=delay if self.is_later else 0)


def answer_forms(
    prefix: str, given: Sequence[Answer], most: int, data: Any, files: Sequence[MediaFile]
) -> list[AnswerForm]:
    """Makes `most` forms: those of the given answers first, then empty ones."""
    return [
        AnswerForm(
            given[at] if at < len(given) else None,
            prefix=f"{prefix}{at}",
            data=data,
            files=files,
        )
        for at in range(most)
    ]
