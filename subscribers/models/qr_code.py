"""The table of QR codes made here or adopted."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from events.models.job import Job, JobQuerySet
from events.wechat.api.qr_codes import LONGEST_LIFE
from subscribers.models.locked_deletion import LockedDeletion, LockedDeletionQuerySet
from subscribers.models.scene import SceneTag, validate_one_line, validate_scene

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["MOST_PERMANENT_CODES", "QRScene", "QRSceneQuerySet", "SceneState"]

# Permanent codes that WeChat makes for one account; none can be deleted there.
MOST_PERMANENT_CODES = 100_000


class SceneState(models.TextChoices):
    """The state of a code, as operators see it."""

    WAITING = "waiting", _("waiting for WeChat")
    READY = "ready", _("ready")
    FAILED = "failed", _("failed")
    EXPIRED = "expired", _("expired")
    ELSEWHERE = "elsewhere", _("made elsewhere")


class QRSceneQuerySet(LockedDeletionQuerySet, JobQuerySet["QRScene"]):
    def in_state(self, state: SceneState, now: datetime.datetime) -> QRSceneQuerySet:
        """The codes that have this `state` at that moment."""
        settled = self.filter(due_at=None, failure="")
        expired = Q(expires_at__isnull=False, expires_at__lte=now)
        match state:
            case SceneState.WAITING:
                return self.filter(due_at__isnull=False)
            case SceneState.FAILED:
                return self.filter(due_at=None).exclude(failure="")
            case SceneState.EXPIRED:
                return settled.filter(expired)
            case SceneState.READY:
                return settled.exclude(expired).exclude(url="")
            case SceneState.ELSEWHERE:
                return settled.exclude(expired).filter(url="")

    def renewable(self) -> QRSceneQuerySet:
        """Codes that may get a new ticket: temporary codes, and codes without a picture of ours.

        A second ticket for a permanent code would use up another of the 100,000 permanent codes.
        """
        return self.filter(due_at=None).filter(Q(is_permanent=False) | Q(url=""))

    def renew(self, now: datetime.datetime) -> int:
        """Makes the renewable codes among these due for a new ticket; returns how many."""
        return self.renewable().update(due_at=now, attempts=0, failure="", failure_text="")

    def names_of(
        self, accounts: Iterable[int], scenes: Iterable[str]
    ) -> dict[tuple[int, str], str]:
        """The names of the codes with these scenes, by account and scene, in one query.

        A name that is the scene itself says nothing, and is left out.
        """
        wanted = set(scenes) - {""}
        if not wanted:
            return {}
        codes = self.filter(account__in=set(accounts), scene__in=wanted)
        codes = codes.exclude(name="").exclude(name=F("scene"))
        return {
            (account, scene): name
            for account, scene, name in codes.values_list("account", "scene", "name")
        }

    def with_valid_code(self, now: datetime.datetime) -> QRSceneQuerySet:
        """Codes whose picture can be drawn and scanned."""
        return self.exclude(url="").exclude(expires_at__isnull=False, expires_at__lte=now)

    def lock(self) -> None:
        """Locks the codes until the transaction ends. Saving a code locks it before its tags."""
        codes = QRScene.objects.filter(pk__in=self.values("pk"))
        list(codes.order_by("pk").select_for_update().values_list("pk"))


class QRScene(LockedDeletion, Job):
    """A QR code of a campaign. It carries a scene, which then comes with its follows and scans.

    While the row is due, the worker fetches `ticket` and `url`, the text of the picture. A renewed
    code keeps its former ticket until the new one is there. An adopted code, made elsewhere, has no
    url and is not due.
    """

    State = SceneState

    account = models.ForeignKey(
        "events.OfficialAccount",
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="scenes",
        verbose_name=_("Official Account"),
    )
    scene = models.CharField(_("scene"), max_length=64, validators=[validate_scene])
    name = models.CharField(_("name"), max_length=100, validators=[validate_one_line])
    note = models.TextField(_("note"), blank=True, default="")
    tags = models.ManyToManyField(SceneTag, blank=True, verbose_name=_("tags"))
    is_permanent = models.BooleanField(_("permanent"), default=True)
    expire_seconds = models.PositiveIntegerField(
        _("lifetime in seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_LIFE)],
        help_text=_("For a temporary code, counted from each time it is fetched: at most 30 days."),
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    ticket = models.TextField("Ticket", blank=True, default="")
    url = models.TextField("URL", blank=True, default="")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    group = models.CharField(
        pgettext_lazy("QR codes", "group"),
        max_length=60,
        blank=True,
        default="",
        db_index=True,
        validators=[validate_one_line],
        help_text=_("Codes of one group are compared and added up."),
    )
    owner = models.CharField(
        _("person in charge"),
        max_length=60,
        blank=True,
        default="",
        validators=[validate_one_line],
    )
    runs_from = models.DateField(_("runs from"), null=True, blank=True)
    runs_until = models.DateField(
        _("runs until"),
        null=True,
        blank=True,
        help_text=_("Outside these days nobody gets its tags; the picture works all the same."),
    )
    follower_tags = models.CharField(
        _("tags for who comes"),
        max_length=200,
        blank=True,
        default="",
        help_text=_(
            "WeChat's tags (标签), separated by commas. The worker puts them on who follows by "
            "this code or scans it."
        ),
    )
    logo = models.ForeignKey(
        "events.MediaFile",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("logo"),
        help_text=_("A picture of the media library, drawn in the middle of the code."),
    )

    objects = QRSceneQuerySet.as_manager()

    class Meta:
        verbose_name = _("QR code")
        verbose_name_plural = _("QR codes")
        constraints = [
            models.UniqueConstraint(fields=["account", "scene"], name="scene_one_per_account"),
            models.CheckConstraint(
                name="scene_permanent_or_expires",
                condition=Q(is_permanent=True, expires_at=None, expire_seconds=None)
                | Q(is_permanent=False, expires_at__isnull=False)
                | Q(is_permanent=False, expire_seconds__isnull=False),
                violation_error_message=_(
                    "A QR code is either permanent or has a time at which it expires."
                ),
            ),
            models.CheckConstraint(
                name="scene_lifetime",
                condition=Q(expire_seconds=None)
                | Q(expire_seconds__gte=1, expire_seconds__lte=LONGEST_LIFE),
            ),
            models.CheckConstraint(
                name="scene_not_a_prefix",
                condition=~Q(scene="")
                & ~Q(scene__startswith="qrscene_")
                & ~Q(scene__startswith="bind-"),
                violation_error_message=_(
                    "A scene must not be empty, nor begin with qrscene_ or bind-."
                ),
            ),
        ]
        indexes = [
            # The code that the worker takes next, and how many wait.
            models.Index(fields=["due_at"], name="scene_due", condition=Q(due_at__isnull=False)),
            # Codes that wait for an operator.
            models.Index(fields=["failure"], name="scene_failed", condition=~Q(failure="")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def has_valid_code(self) -> bool:
        """Whether there is a picture that can be scanned."""
        return bool(self.url) and not self.is_expired

    def runs_at(self, moment: datetime.datetime) -> bool:
        """Whether the code's days, by the account's clock, include that moment."""
        day = moment.astimezone(self.account.zone).date()
        return (self.runs_from is None or self.runs_from <= day) and (
            self.runs_until is None or day <= self.runs_until
        )

    @property
    def is_renewable(self) -> bool:
        """See `QRSceneQuerySet.renewable`."""
        return self.due_at is None and (not self.is_permanent or not self.url)

    @property
    def state(self) -> SceneState:
        if self.due_at is not None:
            return SceneState.WAITING
        if self.failure:
            return SceneState.FAILED
        if self.is_expired:
            return SceneState.EXPIRED
        return SceneState.READY if self.url else SceneState.ELSEWHERE

    @property
    def validity(self) -> StrOrPromise:
        """Words for how long the code works, for codes without an end in the future."""
        if self.state == SceneState.ELSEWHERE:
            return "–"
        if self.is_permanent:
            return _("permanent")
        return _("expired") if self.is_expired else _("temporary")
