from __future__ import annotations

import datetime
import hashlib
from typing import Any

from django.conf import settings
from django.db import connections, models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.fields import EncryptedTextField
from events.models import OfficialAccount
from subscribers.fold import STATE_COLUMNS, State

__all__ = ["Binding", "BindingRequest", "BindingScan", "QRScene", "Subscriber"]


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    def following(self) -> SubscriberQuerySet:
        return self.filter(is_following=True)

    def with_bound_user(self) -> SubscriberQuerySet:
        """Adds bound_username: whose account this follower is bound to, or None."""
        active = Binding.objects.active().filter(subscriber=models.OuterRef("pk"))
        return self.annotate(bound_username=models.Subquery(active.values("user__username")[:1]))

    def fold(self, account_id: int, openid: str, state: State, *, now: datetime.datetime) -> int:
        """Combines a state into the follower's row, made when it is missing; returns the row's id.

        One statement without a read before it, so that any number of processes may fold into one
        row at a time. The rules are those of subscribers.fold.combine.
        """
        connection = connections[self.db]
        least, greatest = (
            ("LEAST", "GREATEST") if connection.vendor == "postgresql" else ("MIN", "MAX")
        )
        quote = connection.ops.quote_name
        row = self.model(
            account_id=account_id,
            openid=openid,
            updated_at=now,
            **{name: getattr(state, name) for name in STATE_COLUMNS},
        )
        fields = [
            field
            for field in self.model._meta.concrete_fields
            if not field.primary_key and not field.generated
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                _fold_statement(
                    table=quote(self.model._meta.db_table),
                    columns=[quote(field.attname) for field in fields],
                    least=least,
                    greatest=greatest,
                ),
                [
                    field.get_db_prep_save(getattr(row, field.attname), connection)
                    for field in fields
                ],
            )
            (pk,) = cursor.fetchone()
        return int(pk)


def _fold_statement(*, table: str, columns: list[str], least: str, greatest: str) -> str:
    # A bare MAX() of SQLite is NULL as soon as one argument is, hence the pair of COALESCE.
    def extreme(function: str, name: str) -> str:
        return (
            f"{function}(COALESCE(old.{name}, excluded.{name}), "
            f"COALESCE(excluded.{name}, old.{name}))"
        )

    extremes = {
        "first_followed_at": extreme(least, "first_followed_at"),
        "last_followed_at": extreme(greatest, "last_followed_at"),
        "last_unfollowed_at": extreme(greatest, "last_unfollowed_at"),
        "last_seen_at": extreme(greatest, "last_seen_at"),
    }

    def scene_at(which: str, wins: str) -> list[str]:
        better = (
            f"excluded.{which}_at IS NOT NULL AND (old.{which}_at IS NULL OR "
            f"(excluded.{which}_at, excluded.{which}_key) {wins} "
            f"(old.{which}_at, old.{which}_key))"
        )
        return [
            f"{name} = CASE WHEN {better} THEN excluded.{name} ELSE old.{name} END"
            for name in (which, f"{which}_at", f"{which}_key")
        ]

    assignments = [
        *(f"{name} = {expression}" for name, expression in extremes.items()),
        *(
            f"{name} = old.{name} + excluded.{name}"
            for name in ("follow_count", "unfollow_count", "event_count")
        ),
        *scene_at("first_scene", "<"),
        *scene_at("last_scene", ">"),
        # What proves following and an unfollow in one second have no knowable order: ask WeChat.
        f"refresh_requested_at = CASE WHEN {extremes['last_unfollowed_at']} "
        f"IN ({extremes['last_followed_at']}, {extremes['last_seen_at']}) "
        "THEN COALESCE(old.refresh_requested_at, excluded.updated_at) "
        "ELSE old.refresh_requested_at END",
        "updated_at = excluded.updated_at",
    ]
    return (
        f"INSERT INTO {table} AS old ({', '.join(columns)}) "
        f"VALUES ({', '.join(['%s'] * len(columns))}) "
        f"ON CONFLICT (account_id, openid) DO UPDATE SET {', '.join(assignments)} RETURNING id"
    )


class Subscriber(models.Model):
    """A follower of one account. All but the profile is folded from the log, and can be again."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="subscribers",
        verbose_name=_("Official Account"),
    )
    openid = models.CharField("OpenID", max_length=64)

    first_followed_at = models.DateTimeField(_("first followed"), null=True, blank=True)
    last_followed_at = models.DateTimeField(_("last followed"), null=True, blank=True)
    last_unfollowed_at = models.DateTimeField(_("last unfollowed"), null=True, blank=True)
    last_seen_at = models.DateTimeField(
        _("last seen"),
        null=True,
        blank=True,
        help_text=_("The last act that only a follower can do: a message, a menu click, a scan."),
    )
    follow_count = models.PositiveIntegerField(_("follows"), default=0)
    unfollow_count = models.PositiveIntegerField(_("unfollows"), default=0)
    event_count = models.PositiveIntegerField(_("events"), default=0)
    first_scene = models.CharField(
        _("first scene"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("The first QR scene of a follow or scan; binding codes do not count."),
    )
    first_scene_at = models.DateTimeField(null=True, blank=True)
    first_scene_key = models.CharField(max_length=32, blank=True, default="")
    last_scene = models.CharField(
        _("last scene"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("The last QR scene of a follow or scan; binding codes do not count."),
    )
    last_scene_at = models.DateTimeField(null=True, blank=True)
    last_scene_key = models.CharField(max_length=32, blank=True, default="")
    # Generated by the database, so that it cannot disagree with the columns it follows from. A
    # follow and an unfollow in the same second count as unfollowed. Every comparison with NULL is
    # NULL, which CASE takes for false.
    is_following = models.GeneratedField(
        verbose_name=_("following"),
        expression=Case(
            When(
                Q(last_unfollowed_at__isnull=True)
                & (Q(last_followed_at__isnull=False) | Q(last_seen_at__isnull=False)),
                then=Value(True),
            ),
            When(last_followed_at__gt=F("last_unfollowed_at"), then=Value(True)),
            When(last_seen_at__gt=F("last_unfollowed_at"), then=Value(True)),
            default=Value(False),
        ),
        output_field=models.BooleanField(),
        db_persist=True,
    )

    unionid = models.CharField("UnionID", max_length=64, blank=True, default="")
    language = models.CharField(
        _("language"),
        max_length=16,
        blank=True,
        default="",
        help_text=_("In which replies are written; empty: the site's language."),
    )
    remark = models.CharField(_("remark"), max_length=100, blank=True, default="")
    profile_synced_at = models.DateTimeField(_("profile synced"), null=True, blank=True)
    refresh_requested_at = models.DateTimeField(_("refresh requested"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated"))

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        verbose_name = _("follower")
        verbose_name_plural = _("followers")
        constraints = [
            models.UniqueConstraint(fields=["account", "openid"], name="subscriber_one_per_openid"),
        ]
        indexes = [
            # An OpenID alone: the operators' search.
            models.Index(fields=["openid"], name="subscriber_openid"),
            # Who follows now; who followed or left since a day began (dashboard, API filters).
            models.Index(fields=["account", "is_following"], name="subscriber_following"),
            models.Index(fields=["account", "last_followed_at"], name="subscriber_followed"),
            models.Index(fields=["account", "last_unfollowed_at"], name="subscriber_unfollowed"),
            # The followers of one poster.
            models.Index(
                fields=["first_scene"], name="subscriber_first_scene", condition=~Q(first_scene="")
            ),
            models.Index(
                fields=["last_scene"], name="subscriber_last_scene", condition=~Q(last_scene="")
            ),
            # What changed since a warehouse last asked.
            models.Index(fields=["updated_at", "id"], name="subscriber_updated"),
        ]

    def __str__(self) -> str:
        # The theme writes the first letter of a title large, and an OpenID must stay as it is.
        return f"OpenID {self.openid}"

    @property
    def state(self) -> State:
        return State(**{name: getattr(self, name) for name in STATE_COLUMNS})


class QRScene(models.Model):
    """A QR code of a campaign: the scene is what its follows and scans carry."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="scenes",
        verbose_name=_("Official Account"),
    )
    scene = models.CharField(
        _("scene"),
        max_length=64,
        help_text=_("1 to 64 characters; letters, digits, _ and - are safest."),
    )
    name = models.CharField(_("name"), max_length=100)
    note = models.TextField(_("note"), blank=True, default="")
    is_permanent = models.BooleanField(_("permanent"), default=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    ticket = models.TextField("Ticket", blank=True, default="")
    url = models.TextField("URL", blank=True, default="")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("QR scene")
        verbose_name_plural = _("QR scenes")
        constraints = [
            models.UniqueConstraint(fields=["account", "scene"], name="scene_one_per_account"),
            models.CheckConstraint(
                name="scene_permanent_or_expires",
                condition=Q(is_permanent=True, expires_at=None)
                | Q(is_permanent=False, expires_at__isnull=False),
                violation_error_message=_(
                    "A scene is either permanent or has a time at which it expires."
                ),
            ),
            models.CheckConstraint(
                name="scene_not_a_prefix",
                condition=~Q(scene="")
                & ~Q(scene__startswith="qrscene_")
                & ~Q(scene__startswith="bind-"),
                violation_error_message=_(
                    "A scene is not empty, and does not begin with qrscene_ or bind-."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()


class Refusal(models.TextChoices):
    """Why a scan did not bind."""

    UNKNOWN = "unknown", _("no such binding code")
    EXPIRED = "expired", _("the code had expired")
    USED = "used", _("the code was already used")
    WITHDRAWN = "withdrawn", _("a newer code had replaced it")
    WRONG_ACCOUNT = "wrong_account", _("scanned under another Official Account")
    FOLLOWER_BOUND = "follower_bound", _("this WeChat is bound to another user")
    USER_BOUND = "user_bound", _("this user is bound to another WeChat")
    USER_INACTIVE = "user_inactive", _("the user may not sign in")


class BindingQuerySet(models.QuerySet["Binding"]):
    def active(self) -> BindingQuerySet:
        return self.filter(unbound_at=None)


class Binding(models.Model):
    """A follower's WeChat tied to an account of this site. Ended ones are kept as history."""

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.PROTECT, verbose_name=_("Official Account")
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.PROTECT, related_name="bindings", verbose_name=_("follower")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="wechat_bindings",
        verbose_name=_("user"),
    )
    bound_at = models.DateTimeField(_("bound"))
    unbound_at = models.DateTimeField(_("unbound"), null=True, blank=True)
    # Without a constraint, as the log is made to be partitioned and pruned.
    event_id = models.BigIntegerField(_("event"))
    event_time = models.DateTimeField(_("event time"))

    objects = BindingQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding")
        verbose_name_plural = _("bindings")
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber"],
                name="binding_one_per_subscriber",
                condition=Q(unbound_at=None),
            ),
            models.UniqueConstraint(
                fields=["account", "user"],
                name="binding_one_per_user",
                condition=Q(unbound_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ↔ {self.subscriber}"

    @property
    def is_active(self) -> bool:
        return self.unbound_at is None

    @property
    def is_dormant(self) -> bool:
        """Bound, but the follower has left; a new follow wakes the binding."""
        return self.is_active and not self.subscriber.is_following


class BindingRequestQuerySet(models.QuerySet["BindingRequest"]):
    def open(self) -> BindingRequestQuerySet:
        return self.filter(completed_at=None, refused_reason="")

    def end(self, **outcome: Any) -> int:
        """Gives open requests their outcome and wipes their secrets; returns how many."""
        return self.open().update(scene="", ticket="", url="", **outcome)


class BindingRequest(models.Model):
    """A user's wish to bind his WeChat: a one-time code that one follower may scan."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting for the scan")
        BOUND = "bound", _("bound")
        EXPIRED = "expired", _("expired")
        REFUSED = "refused", _("refused")

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.CASCADE, verbose_name=_("Official Account")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="wechat_binding_requests",
        verbose_name=_("user"),
    )
    scene_digest = models.CharField(max_length=64, unique=True, editable=False)
    # These three open the door for whoever reads them, so they are encrypted, shown to the owner
    # alone, and wiped at the end.
    scene = EncryptedTextField(_("scene"), blank=True, default="", editable=False)
    ticket = EncryptedTextField("Ticket", blank=True, default="", editable=False)
    url = EncryptedTextField("URL", blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created"))
    expires_at = models.DateTimeField(_("expires"))
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True)
    binding = models.ForeignKey(
        Binding,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="requests",
        verbose_name=_("binding"),
    )
    refused_reason = models.CharField(
        _("refused because"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    objects = BindingRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding request")
        verbose_name_plural = _("binding requests")
        constraints = [
            # A user has one live code per account: a new one withdraws the former.
            models.UniqueConstraint(
                fields=["account", "user"],
                name="binding_request_one_open",
                condition=Q(completed_at=None, refused_reason=""),
            ),
            models.CheckConstraint(
                name="binding_request_one_outcome",
                condition=Q(completed_at=None) | Q(refused_reason=""),
            ),
            models.CheckConstraint(
                name="binding_request_wiped",
                condition=Q(completed_at=None, refused_reason="") | Q(scene="", ticket="", url=""),
            ),
        ]
        indexes = [
            # Requests nobody scanned, for the worker to end.
            models.Index(
                fields=["expires_at"],
                name="binding_request_open",
                condition=Q(completed_at=None, refused_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"

    @staticmethod
    def digest_of(scene: str) -> str:
        return hashlib.sha256(scene.encode()).hexdigest()

    @property
    def state(self) -> State:
        if self.completed_at is not None:
            return self.State.BOUND
        if self.refused_reason == Refusal.EXPIRED:
            return self.State.EXPIRED
        if self.refused_reason:
            return self.State.REFUSED
        return self.State.WAITING if timezone.now() < self.expires_at else self.State.EXPIRED


class BindingScan(models.Model):
    """A binding code that arrived from WeChat, with what came of it."""

    class Outcome(models.TextChoices):
        BOUND = "bound", _("bound")
        ALREADY_BOUND = "already_bound", _("was already bound to this user")
        REFUSED = "refused", _("refused")

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.PROTECT, verbose_name=_("Official Account")
    )
    subscriber = models.ForeignKey(
        Subscriber,
        on_delete=models.PROTECT,
        related_name="binding_scans",
        verbose_name=_("follower"),
    )
    request = models.ForeignKey(
        BindingRequest,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="scans",
        verbose_name=_("binding request"),
    )
    event_id = models.BigIntegerField(_("event"))
    event_time = models.DateTimeField(_("event time"))
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices)
    refused_reason = models.CharField(
        _("refused because"), max_length=20, choices=Refusal.choices, blank=True, default=""
    )

    class Meta:
        verbose_name = _("binding scan")
        verbose_name_plural = _("binding scans")
        constraints = [
            models.UniqueConstraint(fields=["event_id", "event_time"], name="binding_scan_once"),
            models.CheckConstraint(
                name="binding_scan_reason",
                condition=Q(outcome="refused") & ~Q(refused_reason="")
                | Q(outcome__in=["bound", "already_bound"], refused_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} #{self.pk}"
