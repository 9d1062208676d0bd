"""The form of a reply rule: its trigger, its conditions, and the forms of its answers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from django import forms
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from events.admin.media.media_widget import library
from events.admin.rules.answer_form import answer_forms, input_class
from events.answering.rule_words import (
    BOUND,
    FOLLOWS,
    HOWS,
    KINDS,
    ONS,
    Names,
    sentence,
)
from events.models import ReplyRule
from events.rules.check import MOST_ANSWERS, MOST_LATER, problems
from events.rules.data import (
    Answer,
    AnswerChoice,
    AnswerKind,
    Bound,
    Conditions,
    Follow,
    Hours,
    How,
    MessageKind,
    On,
    Rule,
    Trigger,
)

__all__ = ["RuleForm"]

# The most QR codes to choose from; users type the scenes of others.
_MOST_BOXES = 200
_SEPARATORS = re.compile(r"[\n,，;；]+")
# The answers of a new rule.
_USUAL = (Answer(AnswerKind.TEXT),)


class RuleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A rule; `answers` and `later` are the forms of its messages."""

    on = forms.ChoiceField(
        label=_("waits for"), choices=ONS.items(),
        widget=UnfoldAdminSelectWidget(attrs={"data-on": ""}),
    )  # fmt: skip
    follow = forms.ChoiceField(
        label=_("which follow"), choices=FOLLOWS.items(), required=False,
        widget=UnfoldAdminSelectWidget(),
    )  # fmt: skip
    menu_keys = forms.MultipleChoiceField(
        label=_("menu entries"), required=False, widget=forms.CheckboxSelectMultiple
    )
    codes = forms.MultipleChoiceField(
        label=_("QR codes"), required=False, widget=forms.CheckboxSelectMultiple
    )
    other_keys = forms.CharField(
        label=_("other keys"), required=False,
        help_text=_("Menu keys or scenes without a name here, with commas between them."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    message_kind = forms.ChoiceField(
        label=_("kind of message"), choices=KINDS.items(), required=False,
        widget=UnfoldAdminSelectWidget(),
    )  # fmt: skip
    how = forms.ChoiceField(
        label=_("which text"), choices=HOWS.items(), required=False,
        widget=UnfoldAdminSelectWidget(attrs={"data-how": ""}),
    )  # fmt: skip
    words = forms.CharField(
        label=_("words"), required=False, strip=False,
        help_text=_(
            "One in each line. Width, case and punctuation at the end do not count. Patterns are "
            "regular expressions in RE2's form."
        ),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": "3", "spellcheck": "false"}),
    )  # fmt: skip
    weekdays = forms.MultipleChoiceField(
        label=_("weekdays"), required=False, choices=[(str(d), n) for d, n in WEEKDAYS.items()],
        widget=forms.CheckboxSelectMultiple, help_text=_("None: every day."),
    )  # fmt: skip
    hours_since = forms.TimeField(
        label=_("from hour"), required=False, widget=forms.TimeInput({"type": "time"}, "%H:%M")
    )
    hours_until = forms.TimeField(
        label=_("to hour"), required=False, widget=forms.TimeInput({"type": "time"}, "%H:%M")
    )
    is_outside = forms.BooleanField(label=_("outside these hours"), required=False)
    since = forms.DateTimeField(
        label=_("begins"), required=False,
        widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    until = forms.DateTimeField(
        label=_("ends"), required=False,
        widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    tags = forms.TypedMultipleChoiceField(
        label=_("tags (标签)"), required=False, coerce=int, widget=forms.CheckboxSelectMultiple,
        help_text=_("None: any follower. Else the follower has one of them."),
    )  # fmt: skip
    bound = forms.ChoiceField(
        label=_("binding"), choices=BOUND.items(), required=False, widget=UnfoldAdminSelectWidget()
    )

    class Meta:
        model = ReplyRule
        fields = ["account", "name", "is_active", "choice"]

    def __init__(
        self,
        *args: Any,
        names: Names | None = None,
        account_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        given = self.initial.get("rule")
        written: Rule | None = given if isinstance(given, Rule) else None
        if self.instance.pk:
            written = self.instance.rule
        self.names = names or Names({}, {})
        # The form of a user who may only look does not have these fields.
        for name in ("name", "choice"):
            if name in self.fields:
                self.fields[name].required = False
        if "account" in self.fields:
            self.fields["account"].widget = forms.HiddenInput()
        for name in ("hours_since", "hours_until", "since", "until"):
            self.fields[name].widget.attrs["class"] = input_class()
        trigger = written.trigger if written else Trigger(On.MESSAGE, how=How.CONTAINS_ANY)
        for name, value in _initial(trigger, written).items():
            self.initial.setdefault(name, value)
        self._offer_keys(trigger)
        self._offer_tags(written.conditions.tags if written else frozenset())
        data = self.data if self.is_bound else None
        files = library(account_id or self.instance.account_id)
        given_answers = written.answers if written else _USUAL
        self.answers = answer_forms("answers", given_answers, MOST_ANSWERS, data, files)
        later = written.later if written else ()
        self.later = answer_forms("later", later, MOST_LATER, data, files)

    def _offer_keys(self, trigger: Trigger) -> None:
        named = {
            "menu_keys": list(self.names.menu.items()),
            "codes": list(self.names.codes.items())[:_MOST_BOXES],
        }
        chosen = {
            "menu_keys": trigger.keys if trigger.on is On.MENU else (),
            "codes": trigger.keys if trigger.on in {On.FOLLOW, On.SCAN} else (),
        }
        unnamed: list[str] = []
        for field, choices in named.items():
            keys = {key for key, _name in choices}
            boxes: Any = self.fields[field]
            boxes.choices = [(key, name or key) for key, name in choices]
            self.initial.setdefault(field, [key for key in chosen[field] if key in keys])
            unnamed += [key for key in chosen[field] if key not in keys]
        self.initial.setdefault("other_keys", ", ".join(unnamed))

    def _offer_tags(self, chosen: frozenset[int]) -> None:
        """Offers all tags of the account; a chosen tag without a name is shown by its number."""
        unknown = sorted(chosen - self.names.tags.keys())
        boxes: Any = self.fields["tags"]
        boxes.choices = [
            *self.names.tags.items(),
            *((number, _("#%s (unknown)") % number) for number in unknown),
        ]

    def clean_tags(self) -> frozenset[int]:
        return frozenset(self.cleaned_data["tags"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        parts = [*self.answers, *self.later]
        # Validate every form, so that each shows its mistakes.
        are_valid = [form.is_valid() for form in parts]
        if not all(are_valid):
            self.add_error(None, _("See what is wrong beside the answers."))
            return cleaned
        hours_missing = bool(cleaned.get("hours_since")) is not bool(cleaned.get("hours_until"))
        if hours_missing:
            self.add_error("hours_until", _("Give both hours, or none."))
        if self.errors:
            return cleaned
        rule = self.rule()
        for problem in problems(rule):
            self._show_mistake(problem.field, sentence(problem))
        # Django would set the columns from the cleaned data, so put the same values there.
        self.instance.take(rule)
        cleaned["name"], cleaned["choice"] = rule.name, rule.choice.value
        return cleaned

    def _show_mistake(self, field: str, text: str) -> None:
        where, _dot, rest = field.partition(".")
        if rest:
            number, _dot, name = rest.partition(".")
            written = [form for form in getattr(self, where) if form.answer() is not None]
            written[int(number)].add_error(name, text)
            self.add_error(None, _("See what is wrong beside the answers."))
        elif where == "hours":
            self.add_error("hours_until", text)
        else:
            self.add_error(where if where in self.fields else None, text)

    def rule(self) -> Rule:
        """Returns the written rule as plain data. Call it only after validation."""
        cleaned = self.cleaned_data
        hours = None
        if cleaned.get("hours_since") and cleaned.get("hours_until"):
            hours = Hours(cleaned["hours_since"], cleaned["hours_until"], cleaned["is_outside"])
        conditions = Conditions(
            weekdays=frozenset(map(int, cleaned["weekdays"])),
            hours=hours,
            since=_naive(cleaned.get("since")),
            until=_naive(cleaned.get("until")),
            tags=cleaned["tags"],
            bound=Bound(cleaned.get("bound") or Bound.EITHER),
        )
        answers = tuple(a for form in self.answers if (a := form.answer()) is not None)
        later = tuple(a for form in self.later if (a := form.answer()) is not None)
        trigger = self._trigger()
        name = cleaned.get("name") or _name(trigger, answers)
        return Rule(
            id=self.instance.pk or 0,
            name=name[:100],
            trigger=trigger,
            conditions=conditions,
            answers=answers,
            choice=AnswerChoice(cleaned.get("choice") or AnswerChoice.ALL),
            later=later,
            is_on=bool(cleaned.get("is_active")),
        )

    def _trigger(self) -> Trigger:
        cleaned = self.cleaned_data
        on = On(cleaned["on"])
        kind = MessageKind(cleaned.get("message_kind") or MessageKind.ANY)
        if on is On.OTHER:
            return Trigger(on, kind=kind)
        if on is On.MESSAGE:
            how = How(cleaned.get("how") or How.ANY)
            lines = cleaned["words"].replace("\r\n", "\n").split("\n")
            words = () if how is How.ANY else tuple(dict.fromkeys(filter(None, lines)))
            return Trigger(on, kind=kind, how=how, words=words)
        chosen = cleaned["menu_keys"] if on is On.MENU else cleaned["codes"]
        other = (key.strip() for key in _SEPARATORS.split(cleaned["other_keys"]))
        keys = tuple(dict.fromkeys([*chosen, *filter(None, other)]))
        follow = Follow(cleaned.get("follow") or Follow.ANY) if on is On.FOLLOW else Follow.ANY
        return Trigger(on, keys=keys, follow=follow)

    @cached_property
    def changed_data(self) -> list[str]:
        """Returns no fields, because the audit of the watched table records the changes."""
        return []


def _initial(trigger: Trigger, rule: Rule | None) -> dict[str, Any]:
    conditions = rule.conditions if rule else Conditions()
    hours = conditions.hours
    return {
        "on": trigger.on.value,
        "follow": trigger.follow.value,
        "message_kind": trigger.kind.value,
        "how": trigger.how.value,
        "words": "\n".join(trigger.words),
        "weekdays": [str(day) for day in sorted(conditions.weekdays)],
        "hours_since": hours.since if hours else None,
        "hours_until": hours.until if hours else None,
        "is_outside": hours.is_outside if hours else False,
        "since": conditions.since,
        "until": conditions.until,
        "tags": sorted(conditions.tags),
        "bound": conditions.bound.value,
    }


def _naive(at: datetime.datetime | None) -> datetime.datetime | None:
    """Removes the zone that Django added: the user meant the account's clock."""
    return None if at is None else at.replace(tzinfo=None)


def _name(trigger: Trigger, answers: Sequence[Answer]) -> str:
    """Makes a name for a rule without one."""
    parts = trigger.words or trigger.keys
    if parts:
        return ", ".join(parts)
    if answers and answers[0].content:
        return answers[0].content.split("\n")[0]
    return str(ONS[trigger.on])
