"""The operators' page for segments: named filters of the list of followers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from events.admin.access import chosen_account
from events.admin.list_filters import AccountFilter
from events.admin.put_back import WithEarlierStates
from events.db.cached_count import cached_count
from events.db.time_limit import TookTooLong, time_limit
from events.models import with_account
from events.viewer import may_look_at, visible_to
from subscribers.admin.followers.follower_filters import (
    came_in_words,
    code_in_words,
    may_see_bindings,
    usable_segments,
)
from subscribers.models import FollowerTag, QRScene, Segment, Subscriber
from subscribers.segments.conditions import CONDITIONS, LONGEST, in_segment, taken
from subscribers.tagging.tag_names import tag_names

__all__ = ["SegmentAdmin", "number_of"]

# Seconds after which a page gives up counting a segment, and all of its segments together.
_COUNT_SECONDS = 2.0
_PAGE_SECONDS = 4.0
# Seconds for each count after that: small segments are counted, large ones are not. It is never 0,
# which means no limit to PostgreSQL.
_QUICK_SECONDS = 0.02


def number_of(name: str, rows: Any, *, seconds: float = _COUNT_SECONDS) -> int | None:
    """Counts the rows, and caches a slow count; None if counting takes more than `seconds`."""
    try:
        with time_limit(seconds):
            return cached_count(name, rows.order_by().count, rows=int)
    except TookTooLong:
        return None


class _Page:
    """What the rows of one page share: the time that is left to count, and the names of tags."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._accounts = {row.account_id for row in segments if "tag" in row.conditions}
        self._seconds = _PAGE_SECONDS

    @cached_property
    def tag_names(self) -> Mapping[tuple[int, int], str]:
        return tag_names(self._accounts)

    def number(self, segment: Segment) -> int | None:
        name = f"segment {segment.pk} {sorted(segment.conditions.items())}"
        rows = in_segment(Subscriber.objects.all(), segment)
        began = monotonic()
        number = number_of(
            name, rows, seconds=max(_QUICK_SECONDS, min(_COUNT_SECONDS, self._seconds))
        )
        self._seconds -= monotonic() - began
        return number


# Conditions that pages of results write; nobody types them.
_WRITTEN_ELSEWHERE = {"came", "code"}


class SegmentForm(forms.ModelForm):  # type: ignore[type-arg]
    # The admin sets this user; the form offers the tags of the user's accounts.
    viewer: Any = None

    class Meta:
        model = Segment
        fields = ["account", "name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = {**taken(self.instance.conditions), **taken(self.initial)}
        for name, condition in CONDITIONS.items():
            if name == "bound" and not may_see_bindings():
                continue
            title = capfirst(condition.title)
            if condition.choices:
                self.fields[name] = forms.ChoiceField(
                    label=title,
                    required=False,
                    choices=[("", "–"), *condition.choices.items()],
                    widget=UnfoldAdminSelectWidget(),
                )
            elif name == "tag":
                tags = visible_to(self.viewer, with_account(FollowerTag.objects.all()))
                if self.instance.pk:
                    tags = tags.filter(account=self.instance.account_id)
                self.fields[name] = forms.ChoiceField(
                    label=title,
                    required=False,
                    choices=[
                        ("", "–"),
                        *((str(tag.number), f"{tag.name} ({tag.account.name})") for tag in tags),
                    ],
                    widget=UnfoldAdminSelectWidget(),
                )
            elif name not in _WRITTEN_ELSEWHERE or name in stored or name in self.data:
                self.fields[name] = forms.CharField(
                    label=title,
                    required=False,
                    max_length=LONGEST,
                    widget=UnfoldAdminTextInputWidget(),
                )
            if name in self.fields:
                self.initial[name] = stored.get(name, "")
            if name == "channel":
                self.fields[name].help_text = _("The scene value of a QR code.")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        conditions = taken(cleaned)
        account = cleaned.get("account") or getattr(self.instance, "account", None)
        channel = conditions.get("channel")
        if (
            account
            and channel
            and not QRScene.objects.filter(account=account, scene=channel).exists()
            and not Subscriber.objects.filter(account=account, first_scene=channel).exists()
        ):
            self.add_error("channel", _("No follower came by this scene, and no code carries it."))
        if (
            account
            and "tag" in conditions
            and not FollowerTag.objects.filter(account=account, number=conditions["tag"]).exists()
        ):
            self.add_error("tag", _("This tag belongs to another account."))
        if not conditions and not self.errors:
            self.add_error(None, _("Choose at least one condition."))
        self.instance.conditions = conditions
        return cleaned


@admin.register(Segment)
class SegmentAdmin(WithEarlierStates):
    form = SegmentForm
    list_display = ["name", "who", "number", "account"]
    list_filter = [AccountFilter]
    search_fields = ["name"]
    list_fullwidth = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Segment]:
        usable = usable_segments(request).values("pk")
        segments: QuerySet[Segment] = super().get_queryset(request)
        return segments.filter(pk__in=usable)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        page = _Page(changelist.result_list)
        for segment in changelist.result_list:
            segment.page = page
        return changelist

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        # Named here, because Django's check of `fieldsets` does not know the form's own fields.
        given = request.GET.dict() if obj is None else {}
        form = self.get_form(request, obj)(request.POST or None, instance=obj, initial=given)
        conditions = [name for name in form.fields if name in CONDITIONS]
        return [(None, {"fields": ["account", "name"]}), (_("Conditions"), {"fields": conditions})]

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        kwargs["fields"] = ["account", "name"]
        form = super().get_form(request, obj, **kwargs)
        form.viewer = request.user
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial = super().get_changeform_initial_data(request)
        return {**initial, "account": chosen_account(request)}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["account"] if obj is not None else []

    @display(description=_("conditions"))
    def who(self, segment: Any) -> str:
        return gettext("; ").join(_in_words(segment, segment.page.tag_names))

    @display(description=_("followers"))
    def number(self, segment: Any) -> str:
        followers = reverse("admin:subscribers_subscriber_changelist")
        query = urlencode({"account": segment.account.slug, "segment": segment.pk})
        return render_to_string(
            "admin/subscribers/segment/number.html",
            {
                "number": segment.page.number(segment),
                "url": f"{followers}?{query}" if may_look_at(Subscriber) else "",
            },
        )


def _in_words(segment: Segment, names: Mapping[tuple[int, int], str]) -> list[str]:
    conditions = taken(segment.conditions)
    words = {
        name: str(CONDITIONS[name].choices.get(value, value)) for name, value in conditions.items()
    }
    if "tag" in words:
        words["tag"] = names.get((segment.account_id, int(conditions["tag"])), words["tag"])
    codes = QRScene.objects.filter(account=segment.account_id)
    if "code" in words:
        words["code"] = code_in_words(conditions["code"], codes)
    if "came" in words:
        words["came"] = came_in_words(conditions["came"], codes)
    return [
        gettext("%(name)s: %(said)s") % {"name": capfirst(CONDITIONS[name].title), "said": value}
        for name, value in words.items()
    ]
