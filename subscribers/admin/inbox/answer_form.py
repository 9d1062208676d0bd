"""The form for a text to the follower, or a note to colleagues."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from events.wechat.api.custom_messages import LONGEST_TEXT

__all__ = ["AnswerForm"]


class AnswerForm(forms.Form):
    """A text to the follower, or a note to colleagues."""

    text = forms.CharField(max_length=LONGEST_TEXT, strip=True)

    def clean_text(self) -> str:
        # A browser ends lines with two characters, and WeChat counts both.
        text: str = self.cleaned_data["text"].replace("\r\n", "\n").replace("\0", "")
        if len(text.encode()) > LONGEST_TEXT:
            raise forms.ValidationError(
                _("WeChat takes at most 2048 bytes: about 680 Chinese characters.")
            )
        return text
