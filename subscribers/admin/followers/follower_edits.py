"""The admin pages that change tags and remarks: of one follower, or tags of many at once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from events.admin.access import AccountModelAdmin
from events.admin.hindered import can_anybody, say_hindrances
from events.audit.record import record
from events.numbers import numbers_in
from events.platform.hindrances import hindrance
from events.viewer import may_see_openids, visible_to
from events.wechat.api.tags import LONGEST_TAG
from events.wechat.api.transport.answer_fields import storable
from events.wechat.api.users import LONGEST_REMARK
from subscribers.admin.followers.follower_filters import asked_for
from subscribers.models import FollowerEdit, FollowerTag, Subscriber
from subscribers.segments.conditions import matching
from subscribers.tagging.edit_jobs import FAILURES, change_remark, change_tag
from subscribers.tagging.tag_names import tag_names, tags_of

__all__ = ["WithEdits"]

# The most followers that one act tags; the error message below repeats the number.
_MOST_TAGGED = 20_000
_SHOWN_EDITS = 5
_TAGS = "/cgi-bin/tags/get"
# Each bulk action with the right (接口权限) that it needs at WeChat.
_ACTS = {"edit_tags": _TAGS, "refresh_profiles": "/cgi-bin/user/info/batchget"}


class ProfileForm(forms.Form):
    """Remark and tags of one follower."""

    remark = forms.CharField(
        label=capfirst(_("remark")),
        required=False,
        max_length=LONGEST_REMARK,
        widget=UnfoldAdminTextInputWidget(),
    )
    tags = forms.MultipleChoiceField(
        label=capfirst(_("tags (标签)")), required=False, widget=forms.CheckboxSelectMultiple()
    )
    new_tag = forms.CharField(
        label=capfirst(_("new tag")),
        required=False,
        max_length=LONGEST_TAG,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("The worker makes it at WeChat, if there is none of this name."),
    )

    def __init__(self, data: Any, *, subscriber: Subscriber) -> None:
        names = tag_names([subscriber.account_id])
        self.had = set(tags_of(subscriber, names))
        super().__init__(data, initial={"remark": subscriber.remark, "tags": sorted(self.had)})
        offered = sorted({*names.values(), *self.had})
        self.fields["tags"].choices = [(name, name) for name in offered]  # type: ignore[attr-defined]
        if not may_see_openids():
            # A remark is a name that colleagues gave the follower.
            del self.fields["remark"]

    def clean_new_tag(self) -> str:
        return storable(self.cleaned_data["new_tag"].strip())

    def clean_remark(self) -> str:
        return storable(self.cleaned_data["remark"])

    @property
    def wanted(self) -> set[str]:
        return {*self.cleaned_data["tags"], *filter(None, [self.cleaned_data["new_tag"]])}


class TagForm(forms.Form):
    """A tag for many followers."""

    act = forms.ChoiceField(
        label=capfirst(_("act")),
        choices=[(act.value, act.label) for act in (FollowerEdit.Act.TAG, FollowerEdit.Act.UNTAG)],
        initial=FollowerEdit.Act.TAG,
        widget=UnfoldAdminRadioSelectWidget(radio_style=admin.VERTICAL),
    )
    known = forms.ChoiceField(
        label=capfirst(_("tag (标签)")), required=False, widget=UnfoldAdminSelectWidget()
    )
    new_tag = ProfileForm.base_fields["new_tag"]

    def __init__(self, *args: Any, account: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tags = FollowerTag.objects.filter(account=account).values_list("name", flat=True)
        self.fields["known"].choices = [("", "–"), *((name, name) for name in tags)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        cleaned["name"] = storable(cleaned.get("new_tag", "").strip()) or cleaned.get("known", "")
        if not cleaned["name"] and not self.errors:
            self.add_error("known", _("Choose a tag, or write a new one."))
        return cleaned


class WithEdits(AccountModelAdmin):
    """The part of the followers' admin that changes tags and remarks."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("tag/", view(self.tag), name="subscribers_subscriber_tag"),
            path(
                "<int:object_id>/profile/",
                view(self.profile),
                name="subscribers_subscriber_profile",
            ),
            *super().get_urls(),
        ]

    def has_edit_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the user may edit at all; for a given follower, also whether WeChat lets us."""
        if not request.user.has_perm("subscribers.change_subscriber"):
            return False
        if object_id is None:
            return True
        found = self.get_object(request, str(object_id))
        return found is not None and hindrance(found.account_id, _TAGS) is None

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        for name, right in _ACTS.items():
            if name in actions and not can_anybody(request, right):
                del actions[name]
        return actions

    @action(description=_("Tags and remark"), url_path="edit-profile", permissions=["edit"])
    def edit_profile(self, request: HttpRequest, object_id: str) -> HttpResponse:
        page = reverse("admin:subscribers_subscriber_profile", args=[int(object_id)])
        return HttpResponseRedirect(page)

    @action(description=_("Put a tag on, or take it off"), permissions=["edit"])
    def edit_tags(self, request: HttpRequest, queryset: QuerySet[Subscriber]) -> HttpResponse:
        ids = ",".join(str(pk) for pk in queryset.values_list("pk", flat=True))
        return HttpResponseRedirect(f"{reverse('admin:subscribers_subscriber_tag')}?ids={ids}")

    def profile(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The form of one follower's tags and remark."""
        if not self.has_edit_permission(request):
            raise PermissionDenied
        subscriber = self.get_object(request, str(object_id))
        if subscriber is None or subscriber.erased_at is not None:
            raise Http404
        form = ProfileForm(request.POST or None, subscriber=subscriber)
        page = reverse("admin:subscribers_subscriber_change", args=[subscriber.pk])
        may_send = hindrance(subscriber.account_id, _TAGS) is None
        if request.method == "POST" and may_send and form.is_valid():
            self._write(request, subscriber, form)
            messages.success(request, _("The worker writes this to WeChat."))
            return HttpResponseRedirect(page)
        return self._form_page(
            request, form, str(subscriber), back=page, account=subscriber.account_id
        )

    def _write(self, request: HttpRequest, subscriber: Subscriber, form: ProfileForm) -> None:
        account, by = subscriber.account, request.user
        changed: dict[str, Any] = {}
        with transaction.atomic():
            for act, names in (
                ("tag", form.wanted - form.had),
                ("untag", form.had - form.wanted),
            ):
                for name in sorted(names):
                    change_tag(account, act, name, [subscriber.pk], by=by)
                if names:
                    changed[act] = sorted(names)
            remark = form.cleaned_data.get("remark", subscriber.remark)
            if remark != subscriber.remark:
                change_remark(subscriber, remark, by=by)
                # The audit entry leaves out the remark's text, which must not outlive an erasure.
                changed["remark"] = True
            if changed:
                record("edit_profile", subscriber, account=account, details=changed)

    def tag(self, request: HttpRequest) -> HttpResponse:
        """The form that tags the chosen followers, or all that the list's filters show."""
        if not self.has_edit_permission(request):
            raise PermissionDenied
        chosen = self._chosen(request)
        back = reverse("admin:subscribers_subscriber_changelist")
        people = list(chosen.order_by().values_list("pk", "account")[: _MOST_TAGGED + 1])
        accounts = {account for _pk, account in people}
        if len(accounts) != 1 or len(people) > _MOST_TAGGED:
            messages.error(
                request,
                _("Choose followers of one account, 20,000 at most.")
                if people
                else _("No follower is chosen."),
            )
            return HttpResponseRedirect(back)
        account = accounts.pop()
        form = TagForm(request.POST or None, account=account)
        may_send = hindrance(account, _TAGS) is None
        if request.method == "POST" and may_send and form.is_valid():
            given = form.cleaned_data
            first = Subscriber.objects.select_related("account").get(pk=people[0][0])
            with transaction.atomic():
                number = change_tag(
                    first.account,
                    given["act"],
                    given["name"],
                    [pk for pk, _account in people],
                    by=request.user,
                )
                record(
                    "edit_profile",
                    Subscriber,
                    account=first.account,
                    details={given["act"]: [given["name"]], "rows": number},
                )
            messages.success(request, _("The worker writes this to WeChat."))
            return HttpResponseRedirect(back)
        number = len(people)
        title = ngettext("Tag for %s follower", "Tag for %s followers", number) % number
        return self._form_page(request, form, title, back=back, account=account)

    def _chosen(self, request: HttpRequest) -> QuerySet[Subscriber]:
        rows = visible_to(request.user, Subscriber.objects.filter(erased_at=None))
        ids = request.GET.get("ids")
        if ids is not None:
            return rows.filter(pk__in=numbers_in(ids.split(",")))
        account, conditions, zone = asked_for(request, request.GET)
        if account is not None:
            rows = rows.filter(account=account)
        return matching(rows, conditions, zone)

    def _form_page(
        self, request: HttpRequest, form: forms.Form, title: Any, *, back: str, account: int
    ) -> HttpResponse:
        say_hindrances(request, _TAGS, account)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "form": form,
            "back": back,
            "may_send": hindrance(account, _TAGS) is None,
        }
        return TemplateResponse(request, "admin/subscribers/subscriber/profile.html", context)


def edits_of(subscriber: Subscriber) -> list[dict[str, Any]]:
    """The follower's newest edits that this site has yet to write to WeChat, or that failed."""
    edits = FollowerEdit.objects.filter(account=subscriber.account_id).exclude(
        due_at=None, failure=""
    )
    found = [edit for edit in edits.order_by("-pk")[:500] if subscriber.pk in edit.people]
    return [
        {
            "what": edit.get_act_display(),
            "tag": edit.tag_name,
            "failure": FAILURES.get(edit.failure, edit.failure) if edit.failure else "",
            "waits": edit.due_at is not None,
        }
        for edit in found[:_SHOWN_EDITS]
    ]
