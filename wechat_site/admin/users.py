"""The pages of users and groups. A user can give only rights that they have themselves."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from events.admin.base import ModelAdmin
from events.admin.html import moment
from events.models import ACCOUNT_SECRETS, AccountLimit, OfficialAccount
from events.viewer import account_ids, may_look_at, shown_openid, visible_to
from subscribers.models import Binding, Subscriber
from wechat_site.signin.roles import ROLES

admin.site.index_title = _("Dashboard")
# Django's Chinese translation has two other words for groups; this site's has the sidebar's word.
_DJANGOS_WORDS = (gettext_noop("group"), gettext_noop("groups"))

admin.site.unregister(User)
admin.site.unregister(Group)
# These pages would show sessions and second factors, and let staff take over other users.
admin.site.unregister([EmailAddress, Authenticator, UserSession])


def permissions_of(user: Any) -> QuerySet[Permission]:
    """The permissions that a user has, and so may give."""
    permissions = Permission.objects.select_related("content_type")
    if user.is_superuser:
        return permissions
    return permissions.filter(Q(user=user) | Q(group__user=user)).distinct()


def groups_of(user: Any) -> QuerySet[Group]:
    """The groups that a user may give: those of which the user has every permission."""
    if user.is_superuser:
        return Group.objects.all()
    beyond = Permission.objects.exclude(pk__in=permissions_of(user).values("pk"))
    return Group.objects.exclude(permissions__in=beyond)


def is_within(user: Any, other: Any) -> bool:
    """Whether `user` has every right that `other` has."""
    if user.is_superuser:
        return True
    # Read from the tables, because has_perm() says that an inactive user has no permission.
    beyond = permissions_of(other).exclude(pk__in=permissions_of(user).values("pk"))
    return not other.is_superuser and not beyond.exists()


def may_change_user(user: Any, other: Any) -> bool:
    """Whether `user` may change users at all or, if `other` is given, this one."""
    # A user with a limit must not: they could make a second user without a limit.
    return account_ids(user) is None and (other is None or is_within(user, other))


# Apps whose permissions no page of this site checks.
_WITHOUT_PAGES = ("account", "contenttypes", "mfa", "sessions", "usersessions")


def _with_own_permissions(field: Any) -> Any:
    """Limits a field of permissions to those of this site's pages, named in the user's language."""
    if field.queryset.model is Permission:
        field.queryset = (
            field.queryset.select_related("content_type")
            .exclude(content_type__app_label__in=_WITHOUT_PAGES)
            .exclude(pk__in=_of_tables_without_pages())
        )
        field.label_from_instance = _name_of
    return field


def _of_tables_without_pages() -> list[int]:
    """The permissions of tables that no page shows, unless a role has them."""
    given = frozenset().union(*(role.permissions for role in ROLES.values()))
    shown = {model._meta.label_lower for model in admin.site._registry}
    return [
        permission.pk
        for permission in Permission.objects.filter(
            content_type__app_label__in=("events", "subscribers")
        ).select_related("content_type")
        if permission.codename.partition("_")[0] in _ACTS
        and permission.codename.endswith(f"_{permission.content_type.model}")
        and f"{permission.content_type.app_label}.{permission.content_type.model}" not in shown
        and f"{permission.content_type.app_label}.{permission.codename}" not in given
    ]


# Words for Django's own permissions, whose names in the database are English.
_ACTS = {
    "add": _("add"),
    "change": _("change"),
    "delete": _("delete"),
    "view": _("view"),
}


def _name_of(permission: Permission) -> str:
    kind = permission.content_type
    act, _dash, model = permission.codename.partition("_")
    is_usual = act in _ACTS and model == kind.model
    return f"{kind} | {_ACTS[act] if is_usual else gettext(permission.name)}"


class AccountLimitForm(forms.ModelForm):  # type: ignore[type-arg]
    accounts: Any = forms.ModelMultipleChoiceField(
        label=capfirst(_("Official Accounts")),
        queryset=OfficialAccount.objects.defer(*ACCOUNT_SECRETS),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("The user sees these accounts alone; none chosen: no account."),
    )

    class Meta:
        model = AccountLimit
        fields = ["accounts"]

    def has_changed(self) -> bool:
        # Django saves only changed forms, but here even a new form without accounts is a limit.
        return self.instance.pk is None or super().has_changed()


class AccountLimitInline(StackedInline):
    """Limits the user to the chosen accounts. Users with a limit see no limits."""

    model = AccountLimit
    form = AccountLimitForm
    # No empty form, because it would look like a limit.
    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return account_ids(request.user) is None and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_change_user(request.user, obj) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_change_user(request.user, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_change_user(request.user, obj) and super().has_delete_permission(request, obj)


class BindingInline(TabularInline):
    """The followers to whom the user is or was bound, under accounts that the viewer may see."""

    model = Binding
    fk_name = "user"
    fields = ["account", "follower", "bound", "unbound"]
    readonly_fields = fields
    ordering = ["-bound_at"]
    extra = 0
    can_delete = False
    verbose_name_plural = _("WeChat of this user")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Binding]:
        bindings: QuerySet[Binding] = super().get_queryset(request)
        bindings = bindings.select_related("account", "subscriber")
        bindings = bindings.defer(*(f"account__{name}" for name in ACCOUNT_SECRETS))
        return visible_to(request.user, bindings)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("subscribers.view_binding")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=_("follower"))
    def follower(self, binding: Binding) -> str:
        return render_to_string(
            "admin/auth/user/follower.html",
            {
                "subscriber_id": binding.subscriber_id,
                "openid": shown_openid(binding.subscriber.openid),
                "is_link": may_look_at(Subscriber),
            },
        )

    @display(description=_("bound"))
    def bound(self, binding: Binding) -> str:
        return moment(binding.bound_at, binding.account)

    @display(description=_("unbound"))
    def unbound(self, binding: Binding) -> str:
        return moment(binding.unbound_at, binding.account)


class _DeletesOneByOne(ModelAdmin):
    """Leaves out the action that deletes many: Django does not check the right for each row."""

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        if not request.user.is_superuser:
            actions.pop("delete_selected", None)
        return actions


@admin.register(User)
class UserAdmin(DjangoUserAdmin, _DeletesOneByOne):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = [AccountLimitInline, BindingInline]

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_inlines(request, obj) if obj is not None else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and may_change_user(request.user, None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and may_change_user(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and may_change_user(request.user, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else [*fields, "is_superuser"]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "groups":
            kwargs["queryset"] = groups_of(request.user)
        elif db_field.name == "user_permissions":
            kwargs["queryset"] = permissions_of(request.user)
        return _with_own_permissions(super().formfield_for_manytomany(db_field, request, **kwargs))


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, _DeletesOneByOne):
    def _may(self, request: HttpRequest, obj: Any) -> bool:
        if account_ids(request.user) is not None:
            return False
        return obj is None or groups_of(request.user).filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and self._may(request, None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._may(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may(request, obj)

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        if db_field.name == "permissions":
            kwargs["queryset"] = permissions_of(request.user)
        return _with_own_permissions(super().formfield_for_manytomany(db_field, request, **kwargs))
