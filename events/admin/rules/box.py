"""The test box: "if a follower sends …", and the answer of the rules."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from events.answering.rule_words import ANSWERS, FOLLOWS, KINDS, reason_in_words
from events.models import OfficialAccount
from events.rules.data import EVENT_KINDS, MESSAGE_KINDS, AnswerKind, Follow, On, Rule
from events.rules.decide import Follower, Incoming, Reason, verdicts
from events.rules.rule_answers import Said, said
from events.wechat import (
    ImageReply,
    MusicReply,
    NewsReply,
    TransferBizAiIvrReply,
    TransferCustomerServiceReply,
    VideoReply,
    VoiceReply,
)
from events.wechat.api.custom_messages import (
    ArticleMessage,
    ImageMessage,
    MiniProgramMessage,
    MusicMessage,
    NewsMessage,
    VideoMessage,
    VoiceMessage,
)

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["Box", "BoxForm"]

_TAPS: dict[str, StrOrPromise] = {
    "event.click": _("taps a menu entry"),
    "event.subscribe": _("follows the account"),
    "event.scan": _("scans a code"),
}
_ACTS = [
    *((kind, KINDS[of]) for kind, of in MESSAGE_KINDS.items() if kind != "shortvideo"),
    *_TAPS.items(),
]
# The kinds of answers that the phone names; it shows a text without a name.
_NAMED: dict[type, AnswerKind] = {
    ImageReply: AnswerKind.IMAGE,
    ImageMessage: AnswerKind.IMAGE,
    VoiceReply: AnswerKind.VOICE,
    VoiceMessage: AnswerKind.VOICE,
    VideoReply: AnswerKind.VIDEO,
    VideoMessage: AnswerKind.VIDEO,
    MusicReply: AnswerKind.MUSIC,
    MusicMessage: AnswerKind.MUSIC,
    NewsReply: AnswerKind.NEWS,
    NewsMessage: AnswerKind.NEWS,
    ArticleMessage: AnswerKind.ARTICLE,
    MiniProgramMessage: AnswerKind.MINI_PROGRAM,
    TransferCustomerServiceReply: AnswerKind.AGENT,
    TransferBizAiIvrReply: AnswerKind.AI,
}


class BoxForm(forms.Form):
    """The form: who does what, and when. Only the act is required."""

    act = forms.ChoiceField(
        label=_("a follower sends or does"), choices=_ACTS, required=False,
        widget=UnfoldAdminSelectWidget(attrs={"data-act": ""}),
    )  # fmt: skip
    say = forms.CharField(
        label=_("text"), required=False, strip=False, max_length=2000,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    key = forms.CharField(
        label=_("menu key or scene"), required=False, max_length=128,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "list": "box-keys"}),
    )  # fmt: skip
    at = forms.DateTimeField(
        label=_("at"), required=False, help_text=_("By the account's clock; empty: now."),
        widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    follow = forms.ChoiceField(
        label=_("which follow"), choices=[c for c in FOLLOWS.items() if c[0] != Follow.ANY],
        required=False, widget=UnfoldAdminSelectWidget(),
    )  # fmt: skip
    tags = forms.TypedMultipleChoiceField(
        label=_("tags (标签)"), required=False, coerce=int, widget=forms.CheckboxSelectMultiple
    )
    user = forms.CharField(
        label=_("bound to the user"), required=False, max_length=100,
        help_text=_("Empty: not bound."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    remark = forms.CharField(
        label=_("remark"), required=False, max_length=100,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )  # fmt: skip

    def __init__(self, data: Any, tags: Mapping[int, str]) -> None:
        super().__init__(data)
        self.fields["tags"].choices = list(tags.items())  # type: ignore[attr-defined]
        self.fields["at"].widget.attrs["class"] = UnfoldAdminTextInputWidget().attrs["class"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One message that the follower sees, and the seconds after which it comes.

    `kind` names what is no text.
    """

    kind: str
    text: str
    title: str
    delay: int


@dataclass(frozen=True, slots=True)
class Told:
    """One rule and why it wins or loses."""

    rule: Rule
    reason: str
    is_winner: bool


@dataclass(frozen=True, slots=True)
class Box:
    """The rules' decision about an act; the phone shows `messages`."""

    act: str
    sent: str
    winner: Rule | None
    told: list[Told]
    messages: list[Shown]

    @classmethod
    def of(
        cls, form: BoxForm, account: OfficialAccount, rules: list[Rule], codes: dict[str, str]
    ) -> Box:
        """Decides by the same function as the live answer. The form must be valid."""
        given = form.cleaned_data
        kind = given["act"] or "text"
        at: datetime.datetime = given["at"] or timezone.now().astimezone(account.zone)
        is_message = kind in MESSAGE_KINDS
        key = "" if is_message else given["key"].strip()
        incoming = Incoming(
            kind=kind,
            at=at.replace(tzinfo=None),
            key=key,
            text=given["say"] if kind in {"text", "voice"} else "",
            seed="test",
        )
        follower = Follower(
            tags=frozenset(given["tags"]),
            is_bound=bool(given["user"]),
            is_again=given["follow"] == Follow.AGAIN,
            remark=given["remark"],
            user=given["user"],
            code="" if kind in EVENT_KINDS[On.MENU] else codes.get(key, ""),
        )
        told = list(verdicts(rules, incoming, follower))
        winner = next((v.rule for v in told if v.reason is Reason.WON), None)
        return cls(
            act=str(dict(_ACTS)[kind]),
            sent=incoming.text or key or str(dict(_ACTS)[kind]),
            winner=winner,
            told=[
                Told(v.rule, reason_in_words(v.reason), v.reason is Reason.WON)
                for v in told
                if v.reason is not Reason.TRIGGER
            ],
            messages=_shown(said(winner, incoming, follower)) if winner else [],
        )


def _shown(answer: Said) -> list[Shown]:
    parts: list[tuple[int, Any]] = [(0, answer.reply)] if answer.reply else []
    shown = []
    for delay, part in [*parts, *answer.messages]:
        article = getattr(part, "article", None) or next(iter(getattr(part, "articles", ())), part)
        kind = _NAMED.get(type(part))
        text = (
            getattr(article, "content", "")
            or getattr(article, "description", "")
            or getattr(article, "media_id", "")
            or getattr(article, "article_id", "")
        )
        name = "" if kind is None else str(ANSWERS[kind])
        shown.append(Shown(name, text, getattr(article, "title", ""), delay))
    return shown
