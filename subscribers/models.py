from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Mapping
from operator import attrgetter, itemgetter
from typing import Any

from django.conf import settings
from django.db import connections, models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.fields import EncryptedTextField
from events.models import OfficialAccount
from events.upsert import Upsert
from events.work import Work, WorkQuerySet
from subscribers.fold import STATE_COLUMNS, State
from subscribers.fold_statement import FOLD_EXPRESSIONS, REFRESH_REQUESTED_AT
from subscribers.follower_access import FollowerAccess
from subscribers.follower_sync import FollowerSync
from subscribers.hours import Hour
from subscribers.outgoing_message import OutgoingMessage
from subscribers.qr_scene import QRScene, SceneTag, SeenScene

__all__ = [
    "Binding",
    "BindingRequest",
    "BindingScan",
    "FollowerAccess",
    "FollowerSync",
    "OutgoingMessage",
    "QRScene",
    "SceneTag",
    "SeenScene",
    "Subscriber",
    "SubscriberBase",
]


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    def following(self) -> SubscriberQuerySet:
        return self.filter(is_following=True)

    def held(self) -> SubscriberQuerySet:
        """Locks these rows to the end of the transaction; what refers to them can be written."""
        return self.select_related("account").select_for_update(of=("self",), no_key=True)

    def with_bound_user(self) -> SubscriberQuerySet:
        """Adds bound_username: whose account this follower is bound to, or None."""
        active = Binding.objects.active().filter(subscriber=models.OuterRef("pk"))
        return self.annotate(bound_username=models.Subquery(active.values("user__username")[:1]))

    def fold(self, states: Mapping[tuple[int, str], State], *, now: datetime.datetime) -> None:
        """Combines states into the rows of followers, named by account id and OpenID.

        Rows that are missing are made. No row is read before it is written, so that any number of
        processes may fold into one at a time; and all write in the order of the keys, so that none
        wait for each other in a circle. The rules are those of subscribers.fold.combine.
        """
        rows = [
            (*key, *_columns_of(state), now)
            for key, state in sorted(states.items(), key=itemgetter(0))
        ]
        _fold_statement(self.model).execute(connections[self.db], rows)


_columns_of = attrgetter(*STATE_COLUMNS)


@functools.cache
def _fold_statement(model: type[Subscriber]) -> Upsert:
    return Upsert(
        model,
        key=("account_id", "openid"),
        values=(*STATE_COLUMNS, "updated_at"),
        update={
            **FOLD_EXPRESSIONS,
            "refresh_requested_at": REFRESH_REQUESTED_AT,
            "updated_at": "excluded.updated_at",
        },
    )


class FoldColumns(models.Model):
    """The columns of subscribers.fold.State, by the same names."""

    first_followed_at = models.DateTimeField(_("first followed"), null=True, blank=True)
    last_followed_at = models.DateTimeField(_("last followed"), null=True, blank=True)
    last_unfollowed_at = models.DateTimeField(_("last unfollowed"), null=True, blank=True)
    last_seen_at = models.DateTimeField(
        _("last seen"),
        null=True,
        blank=True,
        help_text=_(
            "The last proof of following: an act that only a follower can do, such as a message, "
            "a menu click or a scan; or WeChat's word, when it was asked."
        ),
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

    class Meta:
        abstract = True

    @property
    def state(self) -> State:
        return State(**{name: getattr(self, name) for name in STATE_COLUMNS})


class Subscriber(FoldColumns):
    """A follower of one account. All but the profile is folded from the log, and can be again."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="subscribers",
        verbose_name=_("Official Account"),
    )
    openid = models.CharField("OpenID", max_length=64)

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
    subscribe_scene = models.CharField(
        _("way of following"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("How the last follow came about, in WeChat's words (subscribe_scene)."),
    )
    qr_scene = models.CharField(
        _("scene by WeChat"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("The QR scene of the last follow as WeChat remembers it."),
    )
    tag_ids = models.CharField(
        _("tags (标签)"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("The numbers of the follower's tags, with commas between them."),
    )
    profile_synced_at = models.DateTimeField(
        _("profile synced"),
        null=True,
        blank=True,
        help_text=_("When WeChat was last asked for these."),
    )
    refresh_requested_at = models.DateTimeField(_("refresh requested"), null=True, blank=True)
    # The run that last found this follower on WeChat's list. Without an index, so that PostgreSQL
    # can write it without touching one.
    listed_in = models.BigIntegerField(null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(_("updated"))
    # For the list of what changed: an index on updated_at itself would be written with every event
    # and, on PostgreSQL, with it all other indexes of the row (no heap-only tuple).
    updated_hour = models.GeneratedField(
        expression=Hour("updated_at"), output_field=models.DateTimeField(), db_persist=True
    )

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        verbose_name = _("follower")
        verbose_name_plural = _("followers")
        constraints = [
            models.UniqueConstraint(fields=["account", "openid"], name="subscriber_one_per_openid"),
        ]
        indexes = [
            # A follower's row is written again with each of his events. Columns that most events
            # leave as they are may be indexed here: others would cost each event a place in every
            # index on PostgreSQL.
            # An OpenID alone: the operators' search.
            models.Index(fields=["openid"], name="subscriber_openid"),
            # One account's followers, who came last first; how many of them follow now.
            models.Index(fields=["account", "id", "is_following"], name="subscriber_account"),
            # Those who left, who came last first. They are few, and write nothing any more.
            models.Index(fields=["id"], name="subscriber_left", condition=Q(is_following=False)),
            # Who followed or left since a day began (dashboard, API filters).
            models.Index(
                fields=["last_followed_at", "id", "account"], name="subscriber_followed_at"
            ),
            models.Index(fields=["account", "last_unfollowed_at"], name="subscriber_unfollowed"),
            # The followers of one poster, who came last first; how many came through it first, and
            # how many of them stayed.
            models.Index(
                fields=["first_scene", "id", "account", "is_following"],
                name="subscriber_first_poster",
                condition=~Q(first_scene=""),
            ),
            models.Index(
                fields=["last_scene", "id"],
                name="subscriber_last_poster",
                condition=~Q(last_scene=""),
            ),
            # What changed since a warehouse last asked.
            models.Index(fields=["updated_hour", "id"], name="subscriber_updated"),
            # Whose profile the worker fetches next: those who are to be asked for anew, and those
            # who never were.
            models.Index(
                fields=["account", "refresh_requested_at"],
                name="subscriber_refresh",
                condition=Q(refresh_requested_at__isnull=False),
            ),
            models.Index(
                fields=["account", "id"],
                name="subscriber_no_profile",
                condition=Q(profile_synced_at=None, is_following=True),
            ),
        ]

    def __str__(self) -> str:
        # The theme writes the first letter of a title large, and an OpenID must stay as it is.
        return f"OpenID {self.openid}"

    @property
    def is_unknowable(self) -> bool:
        """Whether the unfollow and the last proof of following are of one second."""
        at = self.last_unfollowed_at
        proofs = {self.last_followed_at, self.last_seen_at}
        return at is not None and at in proofs and not self.is_following


class SubscriberBase(FoldColumns):
    """What the events of a follower said that retention removed: the state before the log begins.

    A follower's state is this combined with the fold over the log, always.
    """

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="+",
    )
    openid = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "openid"], name="subscriber_base_one_per_openid"
            ),
        ]

    def __str__(self) -> str:
        return f"OpenID {self.openid}"


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


class BindingRequestQuerySet(WorkQuerySet["BindingRequest"]):
    def open(self) -> BindingRequestQuerySet:
        return self.filter(completed_at=None, refused_reason="")

    def end(self, **outcome: Any) -> int:
        """Gives open requests their outcome and wipes their secrets; returns how many.

        Without its lease, a worker that is fetching a ticket changes nothing any more.
        """
        return self.open().update(
            scene="", ticket="", url="", due_at=None, lease="", leased_until=None, **outcome
        )


class BindingRequest(Work):
    """A user's wish to bind his WeChat: a one-time code that one follower may scan.

    The worker fetches `ticket` and `url`, the text of the picture, while the row is due.
    """

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
            # Whose ticket the worker fetches next.
            models.Index(
                fields=["due_at"],
                name="binding_request_due",
                condition=Q(due_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} #{self.pk}"

    def code_for(self, user: Any) -> str:
        """The text of the QR code, for the user it was made for and while it can be scanned.

        "" for anybody else, and until it was fetched.
        """
        is_his = user.pk == self.user_id and self.state == self.State.WAITING
        return self.url if is_his else ""

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
