"""The table of followers, whose state is folded from the log."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from django.db import connections, models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Collate
from django.utils.translation import gettext_lazy as _

from events.db.upsert import Upsert
from events.models import OfficialAccount
from events.viewer import shown_openid
from subscribers.fold.rules import STATE_COLUMNS, State
from subscribers.fold.sql import FOLD_EXPRESSIONS, REFRESH_REQUESTED_AT
from subscribers.models.clock import CHANGED, CHANGED_NOW, NOW
from subscribers.models.hour import Hour

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["CarriedOverState", "Subscriber", "SubscriberQuerySet", "fold_statement"]


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    def held(self) -> SubscriberQuerySet:
        """Locks these rows to the end of the transaction; others may still refer to them."""
        return self.select_related("account").select_for_update(of=("self",), no_key=True)

    def in_order(self) -> SubscriberQuerySet:
        """Sorts by the unique key as `fold` does, whatever the database's language.

        All code that locks several followers locks them in this order, against deadlocks.
        """
        # SQLite compares bytes anyway.
        is_postgres = connections[self.db].vendor == "postgresql"
        return self.order_by("account_id", Collate("openid", "C") if is_postgres else "openid")

    def touch(self) -> int:
        """Marks these rows as changed for readers. Call it in the transaction of the change."""
        return self.update(updated_at=CHANGED_NOW)

    def fold(self, states: Mapping[tuple[int, str], State]) -> None:
        """Combines states, keyed by account id and OpenID, into the followers' rows.

        It makes missing rows. It reads no row before it writes, so any number of processes may
        fold into one row at the same time. All write in the order of the keys, which prevents
        deadlocks. The rules are those of subscribers.fold.rules.combine.
        """
        rows = [
            (*key, *_columns_of(state)) for key, state in sorted(states.items(), key=itemgetter(0))
        ]
        fold_statement(self.model).execute(connections[self.db], rows)


_columns_of = attrgetter(*STATE_COLUMNS)


@functools.cache
def fold_statement(model: type[Subscriber]) -> Upsert:
    """The statement that combines states with followers' rows, and makes missing rows."""
    return Upsert(
        model,
        key=("account_id", "openid"),
        values=STATE_COLUMNS,
        computed={"updated_at": NOW},
        update={
            **FOLD_EXPRESSIONS,
            "refresh_requested_at": REFRESH_REQUESTED_AT,
            "updated_at": CHANGED,
        },
    )


class FoldColumns(models.Model):
    """The columns of subscribers.fold.rules.State, with the same names."""

    first_followed_at = models.DateTimeField(_("first followed"), null=True, blank=True)
    last_followed_at = models.DateTimeField(_("last followed"), null=True, blank=True)
    last_unfollowed_at = models.DateTimeField(_("last unfollowed"), null=True, blank=True)
    last_seen_at = models.DateTimeField(
        _("last seen"),
        null=True,
        blank=True,
        help_text=_(
            "The last proof of following: an act that only a follower can do, such as a message, "
            "a menu click or a scan, or an answer from WeChat."
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
        help_text=_(
            "The scene of the first follow or scan of a QR code; binding codes do not count."
        ),
    )
    first_scene_at = models.DateTimeField(null=True, blank=True)
    first_scene_key = models.CharField(max_length=32, blank=True, default="")
    last_scene = models.CharField(
        _("last scene"),
        max_length=64,
        blank=True,
        default="",
        help_text=_(
            "The scene of the last follow or scan of a QR code; binding codes do not count."
        ),
    )
    last_scene_at = models.DateTimeField(null=True, blank=True)
    last_scene_key = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        abstract = True

    @property
    def state(self) -> State:
        return State(**{name: getattr(self, name) for name in STATE_COLUMNS})


class Subscriber(FoldColumns):
    """A follower of one account. All but the profile is folded from the log."""

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="subscribers",
        verbose_name=_("Official Account"),
    )
    openid = models.CharField("OpenID", max_length=64)

    # The database computes this column, so it always agrees with the others. A follow and an
    # unfollow in the same second count as unfollowed. A comparison with NULL gives NULL, which CASE
    # takes for false.
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
        help_text=_("The language of replies; empty: the site's language."),
    )
    remark = models.CharField(_("remark"), max_length=100, blank=True, default="")
    subscribe_scene = models.CharField(
        _("way of following"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("How the last follow came about, as WeChat says it (subscribe_scene)."),
    )
    qr_scene = models.CharField(
        _("scene by WeChat"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("The scene of the last follow, as WeChat says it (qr_scene_str)."),
    )
    tag_ids = models.CharField(
        _("tags (标签)"),
        max_length=255,
        blank=True,
        default="",
        help_text=_("The numbers of the follower's tags, separated by commas."),
    )
    profile_synced_at = models.DateTimeField(
        _("profile synced"),
        null=True,
        blank=True,
        help_text=_("When WeChat was last asked for the profile."),
    )
    refresh_requested_at = models.DateTimeField(_("refresh requested"), null=True, blank=True)
    # The sync that last found this follower on WeChat's list. It has no index, so PostgreSQL writes
    # it without touching any index.
    listed_in = models.BigIntegerField(null=True, blank=True, editable=False)
    # Since this time, `openid` holds a pseudonym (subscribers/personal_data).
    erased_at = models.DateTimeField(_("erased"), null=True, blank=True, editable=False)
    updated_at = models.DateTimeField(_("updated"))
    # For the list of changes. An index on updated_at itself would cost a write with every event
    # and, on PostgreSQL, a write in all other indexes of the row too (no heap-only tuple).
    updated_hour = models.GeneratedField(
        expression=Hour("updated_at"), output_field=models.DateTimeField(), db_persist=True
    )

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        verbose_name = _("follower")
        verbose_name_plural = _("followers")
        permissions = [
            ("export_personal_data", _("Can export all that is known of a follower")),
            ("erase_personal_data", _("Can erase a follower for ever")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "openid"], name="subscriber_one_per_openid"),
        ]
        indexes = [
            # Every event of a follower writes the row. Indexes have only columns that most events
            # leave alone: with any other, each event would write every index on PostgreSQL.
            # An OpenID without account: the operators' search.
            models.Index(fields=["openid"], name="subscriber_openid"),
            # One account's followers, newest first; how many of them follow now.
            models.Index(fields=["account", "id", "is_following"], name="subscriber_account"),
            # People who left, newest first. They are few, and their rows no longer change.
            models.Index(fields=["id"], name="subscriber_left", condition=Q(is_following=False)),
            # Who followed or left since a day began (dashboard, API filters).
            models.Index(
                fields=["last_followed_at", "id", "account"], name="subscriber_followed_at"
            ),
            models.Index(fields=["account", "last_unfollowed_at"], name="subscriber_unfollowed"),
            # The followers of one scene, newest first; how many came by it first, and how many of
            # them stayed.
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
            # One person, under all accounts.
            models.Index(
                fields=["unionid", "id"], name="subscriber_unionid", condition=~Q(unionid="")
            ),
            # Rows that changed since a reader of the API last asked.
            models.Index(fields=["updated_hour", "id"], name="subscriber_updated"),
            # Whose profile the worker fetches next: of those with a refresh requested, and of those
            # without a profile.
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
        # The theme capitalises titles, and an OpenID must stay as it is.
        return f"OpenID {shown_openid(self.openid)}"

    @property
    def follow_status(self) -> StrOrPromise:
        """Whether the person follows, left, or is not known to have followed, in words."""
        if self.is_following:
            return _("following")
        return _("unfollowed") if self.last_unfollowed_at else _("not following")

    @property
    def is_unknowable(self) -> bool:
        """Whether the unfollow and the last proof of following have the same second."""
        at = self.last_unfollowed_at
        proofs = {self.last_followed_at, self.last_seen_at}
        return at is not None and at in proofs and not self.is_following


class CarriedOverState(FoldColumns):
    """The state of a follower before the log begins: the fold of the events that retention removed.

    A follower's state is always this state combined with the fold over the log.
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
        return f"OpenID {shown_openid(self.openid)}"
