"""The tables of menus (自定义菜单): an account's versions, and the one that followers see."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from events.models.job import Job, JobQuerySet
from events.wechat.api.menu_model import Menu, menu_from_json

__all__ = ["LiveMenu", "MenuVersion", "MenuVersionQuerySet"]


class MenuVersionQuerySet(JobQuerySet["MenuVersion"]):
    def published(self) -> MenuVersionQuerySet:
        return self.filter(published_at__isnull=False)

    def made_here(self) -> MenuVersionQuerySet:
        """Versions that were written here, not found at WeChat."""
        return self.filter(origin=MenuVersion.Origin.SITE)

    def editable(self) -> MenuVersionQuerySet:
        """Drafts, and versions that failed."""
        return self.filter(published_at=None, due_at=None)

    def in_state(self, state: MenuVersion.State) -> MenuVersionQuerySet:
        match state:
            case MenuVersion.State.PUBLISHED:
                return self.published()
            case MenuVersion.State.WAITING:
                return self.filter(published_at=None, due_at__isnull=False)
            case MenuVersion.State.FAILED:
                return self.editable().exclude(failure="")
            case MenuVersion.State.DRAFT:
                return self.editable().filter(failure="")

    def newest_first(self) -> MenuVersionQuerySet:
        """Published versions in the order in which followers saw them, latest first."""
        return self.order_by("-published_at", "-pk")

    def with_is_live(self) -> MenuVersionQuerySet:
        """Adds `is_live`: whether followers see the version now."""
        return self.annotate(is_live=Exists(LiveMenu.objects.filter(version=OuterRef("pk"))))

    def try_again(self, now: datetime.datetime) -> int:
        """Makes failed versions due again: the newest of each account that has none waiting.

        Only one, because two waiting versions of an account would be published in either order.
        """
        waiting = MenuVersion.objects.in_state(MenuVersion.State.WAITING)
        newest: dict[int, int] = {}
        for pk, account in self.failed().order_by("pk").values_list("pk", "account"):
            newest[account] = pk
        free = self.failed().filter(pk__in=newest.values())
        return free.exclude(account__in=waiting.values("account")).update(due_at=now, attempts=0)


class MenuVersion(Job):
    """One menu of an account, written here or found at WeChat.

    `menu` is `Menu.to_json()`. A draft or failed version can change, a due one waits for the
    worker, a published one never changes. A menu found at WeChat counts as published at the time
    when the site first saw it. `revision` grows with each change, so that no user publishes or
    overwrites a menu they have not seen.
    """

    class Origin(models.TextChoices):
        SITE = "site", _("written here")
        WECHAT = "wechat", _("as WeChat has it")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        WAITING = "waiting", _("waiting to be published")
        PUBLISHED = "published", _("published")
        FAILED = "failed", _("not published: failed")

    account = models.ForeignKey(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        related_name="menu_versions",
        verbose_name=_("Official Account"),
    )
    menu = models.JSONField(_("menu"), default=dict)
    revision = models.PositiveIntegerField(default=0, editable=False)
    origin = models.CharField(
        _("origin"), max_length=10, choices=Origin.choices, default=Origin.SITE, editable=False
    )
    based_on = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="copies",
        verbose_name=_("made from"),
    )
    note = models.CharField(
        _("note"), max_length=200, blank=True, help_text=_("What is new; only operators see it.")
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("written by"),
    )
    created_at = models.DateTimeField(_("written"), auto_now_add=True)
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("published by"),
    )
    published_at = models.DateTimeField(_("published"), null=True, editable=False)

    objects = MenuVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("menu version")
        verbose_name_plural = _("menu versions")
        ordering = ["-pk"]
        permissions = [("publish_menu", _("Can publish menus"))]
        constraints = [
            models.UniqueConstraint(
                name="menu_version_one_waits",
                fields=["account"],
                condition=models.Q(published_at=None, due_at__isnull=False),
            ),
            models.CheckConstraint(
                name="menu_version_origin",
                condition=models.Q(origin__in=["site", "wechat"]),
            ),
            models.CheckConstraint(
                name="menu_version_published_is_done",
                condition=models.Q(published_at=None) | models.Q(due_at=None),
            ),
        ]
        indexes = [
            # The version that the worker publishes next.
            models.Index(
                fields=["due_at"], name="menu_version_due", condition=models.Q(due_at__isnull=False)
            ),
            # An account's published versions, latest first.
            models.Index(
                fields=["account", "published_at"],
                name="menu_version_published",
                condition=models.Q(published_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def content(self) -> Menu:
        return menu_from_json(self.menu)

    @property
    def state(self) -> State:
        if self.published_at is not None:
            return self.State.PUBLISHED
        if self.due_at is not None:
            return self.State.WAITING
        return self.State.FAILED if self.failure else self.State.DRAFT

    @property
    def is_editable(self) -> bool:
        return self.state in {self.State.DRAFT, self.State.FAILED}


class LiveMenuQuerySet(JobQuerySet["LiveMenu"]):
    pass


class LiveMenu(Job):
    """The menu that an account's followers see, as far as this site knows; one row per account.

    `version` is None if WeChat showed no menu at the last query. `conditional_menus` is the number
    of menus that only some followers see (个性化菜单), instead of this one. The row is due when the
    worker has to query WeChat.
    """

    account = models.OneToOneField(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="live_menu",
        verbose_name=_("Official Account"),
    )
    version = models.ForeignKey(
        MenuVersion,
        on_delete=models.RESTRICT,
        null=True,
        related_name="live_for",
        verbose_name=_("menu version"),
    )
    conditional_menus = models.PositiveSmallIntegerField(_("menus for some followers"), default=0)
    asked_at = models.DateTimeField(_("asked"), null=True)

    objects = LiveMenuQuerySet.as_manager()

    class Meta:
        verbose_name = _("menu at WeChat")
        verbose_name_plural = _("menus at WeChat")

    def __str__(self) -> str:
        return f"#{self.pk}"
