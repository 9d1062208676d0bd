"""The event log: its table, and the queries that its readers use."""

from __future__ import annotations

import datetime
import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.utils.translation import gettext_lazy as _

from events import binding_scenes, viewer
from events.db.upsert import Upsert
from events.kinds import label
from events.models.account import OfficialAccount
from events.months import Month
from events.wechat import EVENT_TYPES, Unreadable, fitting, kind_of, mending, xml

__all__ = ["EVENT_KEY_PREFIX_LENGTH", "EventKeyPrefix", "EventLog", "EventLogQuerySet"]

# Fields of a body that say what came, not what somebody wrote or where he is.
_ENVELOPE = {
    *("ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "Ticket"),
    *("MsgId", "MsgID", "MenuId", "OpenID", "Encrypt", "Status"),
}

# The unique key of the log.
_KEY = ("account_id", "event_time", "dedup_key")


# PostgreSQL refuses an index entry above 2,704 bytes; 128 characters are 512 bytes at the most.
EVENT_KEY_PREFIX_LENGTH = 128


class EventKeyPrefix(models.Func):
    """As much of an EventKey as is indexed.

    The numbers stand in the statement rather than among its parameters, since SQLite uses an index
    on an expression only for the expression to the letter.
    """

    function = "SUBSTR"
    template = f"%(function)s(%(expressions)s, 1, {EVENT_KEY_PREFIX_LENGTH})"
    arity = 1
    output_field = models.TextField()


# The values that a new row brings; all other columns begin with their defaults.
_VALUES = (
    *("source", "msg_type", "event", "kind", "from_user", "openid", "event_key", "scene", "ticket"),
    *("msg_id", "received_at", "last_delivered_at", "delivery_count", "raw", "folded_at", "status"),
    *("next_attempt_at", "error", "processed_at", "duration_ms", "reply", "followed_at"),
    *("answered_at", "answered_by", "mended"),
)


_row_of = operator.attrgetter(*_KEY, *_VALUES)


class _AnsweredUnusually(models.Func):
    """The condition of the index on `answered_by`, to the letter.

    With parameters in the place of the texts SQLite does not know that the index will do, and reads
    the whole log.
    """

    template = "(NOT (%(expressions)s IN ('', 'reply')))"
    arity = 1
    output_field = models.BooleanField()


class _Unindexed(models.Func):
    """Appends '' so that the planner cannot use this column's index."""

    template = "(%(expressions)s || '')"
    arity = 1
    output_field = models.CharField()


# Finding and sorting up to so many rows is quicker than walking back from the newest row.
_FEW = 1000


@functools.cache
def _delivery(model: type[EventLog]) -> Upsert:
    return Upsert(
        model,
        key=_KEY,
        values=_VALUES,
        update={
            "delivery_count": "old.delivery_count + excluded.delivery_count",
            "last_delivered_at": "{greatest}(old.last_delivered_at, excluded.last_delivered_at)",
        },
        returning=("id", "delivery_count"),
    )


class EventLogQuerySet(models.QuerySet["EventLog"]):
    def deliver(self, events: Sequence[EventLog]) -> list[bool]:
        """Inserts each row, or counts one more delivery of the row with the same key.

        The order of the keys keeps processes that store the same pushes from waiting for each other
        in a circle. One statement counts, so the count is exact under races. Sets the pk of each
        event. Returns which events are new; of one push that occurs twice, one is.
        """
        deliveries: dict[tuple[Any, ...], list[EventLog]] = {}
        for event in events:
            key = (event.account_id, event.event_time, event.dedup_key)
            deliveries.setdefault(key, []).append(event)
        pushes = [same for _, same in sorted(deliveries.items())]
        for same in pushes:
            same[0].delivery_count = len(same)
        stored = _delivery(self.model).execute(
            connections[self.db], [_row_of(same[0]) for same in pushes]
        )
        new: set[int] = set()
        for same, (pk, count) in zip(pushes, stored, strict=True):
            for event in same:
                event.pk = pk
            if count == len(same):
                new.add(id(same[0]))
        return [id(event) in new for event in events]

    def same_push(self, event: EventLog) -> EventLogQuerySet:
        """The stored row of the push that this unsaved row holds, if there is one."""
        return self.filter(
            account=event.account_id, event_time=event.event_time, dedup_key=event.dedup_key
        )

    def with_key_of(self, event: EventLog) -> EventLogQuerySet:
        """This row. Its event_time leads PostgreSQL to the one partition that can hold it."""
        return self.filter(pk=event.pk, event_time=event.event_time)

    def only_key(self) -> EventLogQuerySet:
        return self.only("pk", "event_time")

    def awaiting_outcome(self) -> EventLogQuerySet:
        return self.filter(status__in=[self.model.Status.RECEIVED, self.model.Status.FAILED])

    def due(self, now: datetime.datetime) -> EventLogQuerySet:
        """The rows that a worker should take now, longest waiting first."""
        return self.filter(next_attempt_at__lte=now).order_by("next_attempt_at")

    def kept_for(self, account_id: int, openid: str) -> EventLogQuerySet:
        """Rows whose answer waits for this follower's next message."""
        kept = self.model.AnsweredBy.KEPT
        return self.filter(openid=openid, account=account_id, answered_by=kept)

    def answered_by(self, way: str) -> EventLogQuerySet:
        """Rows whose answer went this way; all but the usual ones through a partial index."""
        usual = self.model.USUAL_ANSWERS
        rows = self.filter(answered_by=way)
        return rows if way in usual else rows.filter(_AnsweredUnusually("answered_by"))

    def unanswered(self) -> EventLogQuerySet:
        """Rows whose answer was made and reached nobody, or has not yet."""
        ways = self.model.AnsweredBy
        rows = self.filter(answered_by__in=[ways.NONE, ways.KEPT])
        return rows.filter(_AnsweredUnusually("answered_by"))

    def folded(self) -> EventLogQuerySet:
        return self.filter(folded_at__isnull=False)

    def not_carried_over(self) -> EventLogQuerySet:
        """The rows that add to the state that removed rows left behind."""
        return self.folded().filter(is_carried_over=False)

    def in_month(self, month: Month) -> EventLogQuerySet:
        return self.filter(event_time__gte=month.start, event_time__lt=month.end)

    def newest_first(self) -> EventLogQuerySet:
        return self.order_by("-id")

    # The next use partial indexes. PostgreSQL infers that the index's condition holds; SQLite
    # needs the condition in the query.

    def with_status(self, status: str) -> EventLogQuerySet:
        if status == self.model.Status.PROCESSED:
            return self.filter(status=status)
        return self.filter(status=status).exclude(status=self.model.Status.PROCESSED)

    def with_statuses(self, statuses: Sequence[str]) -> EventLogQuerySet:
        if len(statuses) == 1:
            return self.with_status(statuses[0])
        rows = self.filter(status__in=statuses)
        if self.model.Status.PROCESSED in statuses:
            return rows
        return rows.exclude(status=self.model.Status.PROCESSED)

    def with_sources(self, sources: Sequence[str]) -> EventLogQuerySet:
        """Rows from any of these; what is no push is found through its kinds, which begin so."""
        rows = self.filter(source__in=sources)
        if self.model.Source.CALLBACK in sources:
            return rows
        beginnings = tuple(f"{source}." for source in sources)
        return rows.with_kinds([kind for kind in self.kinds() if kind.startswith(beginnings)])

    def with_openid(self, openid: str) -> EventLogQuerySet:
        return self.filter(openid=openid).exclude(openid="")

    def with_scene(self, scene: str) -> EventLogQuerySet:
        return self.filter(scene=scene).exclude(scene="")

    def with_event_key(self, event_key: str) -> EventLogQuerySet:
        """Rows with exactly this EventKey, found through the index on its prefix."""
        rows = (
            self.alias(event_key_prefix=EventKeyPrefix("event_key"))
            .filter(event_key_prefix=event_key[:EVENT_KEY_PREFIX_LENGTH])
            .exclude(event_key="")
        )
        if len(event_key) < EVENT_KEY_PREFIX_LENGTH:
            return rows
        # A pair of bounds: SQLite would put an equal constant into the prefix expression too, and
        # then not recognize its index.
        return rows.filter(event_key__gte=event_key, event_key__lte=event_key)

    def with_event(self, event: str) -> EventLogQuerySet:
        """Rows of this Event, in whatever letter case, found through the index on the kind."""
        wanted = (kind_of(msg_type, event) for msg_type in EVENT_TYPES)
        return self._of_kinds([kind for kind in wanted if self._has_kind(kind)])

    def with_msg_type(self, msg_type: str) -> EventLogQuerySet:
        """Rows of this MsgType, in whatever letter case, found through the index on the kind."""
        wanted = kind_of(msg_type)
        if wanted not in EVENT_TYPES:
            return self.filter(kind=wanted)
        every = self.kinds()
        return self._of_kinds(
            [kind for kind in every if kind == wanted or kind.startswith(f"{wanted}.")]
        )

    def with_kinds(self, kinds: list[str]) -> EventLogQuerySet:
        """Rows of any of these kinds, found through the index on the kind."""
        return self._of_kinds(kinds)

    def _has_kind(self, kind: str) -> bool:
        return self.model._default_manager.filter(kind=kind).exists()

    def _of_kinds(self, kinds: list[str]) -> EventLogQuerySet:
        """Rows of several kinds: few are sorted, many are found by walking along the list, since an
        index on the kind keeps the order of ids within one kind only."""
        if not kinds:
            return self.none()
        if len(kinds) == 1:
            return self.filter(kind=kinds[0])
        rows = self.model._default_manager.filter(kind__in=kinds).values_list("pk", flat=True)
        found = list(rows[: _FEW + 1])
        if len(found) <= _FEW:
            return self.filter(pk__in=found)
        return self.alias(any_kind=_Unindexed("kind")).filter(any_kind__in=kinds)

    def kinds(self) -> list[str]:
        """The kinds that occur, in order: one index probe for each, however large the log."""
        connection = connections[self.db]
        table = connection.ops.quote_name(self.model._meta.db_table)
        with connection.cursor() as cursor:
            # Neither database skips from one value of an index to the next by itself.
            cursor.execute(
                f"""
                WITH RECURSIVE kinds(kind) AS (
                    SELECT MIN(kind) FROM {table}
                    UNION ALL
                    SELECT (SELECT MIN(kind) FROM {table} WHERE kind > kinds.kind)
                    FROM kinds WHERE kinds.kind IS NOT NULL
                )
                SELECT kind FROM kinds WHERE kind IS NOT NULL
                """
            )
            return [kind for (kind,) in cursor.fetchall()]

    def months(self) -> Iterator[Month]:
        """The months that occur, account by account: one index probe for each, like kinds()."""
        accounts = self.model._meta.get_field("account").remote_field.model._default_manager
        for account in accounts.values_list("pk", flat=True):
            times = self.filter(account=account).order_by("event_time")
            moment = times.values_list("event_time", flat=True).first()
            while moment is not None:
                month = Month.of(moment)
                yield month
                later = times.filter(event_time__gte=month.end)
                moment = later.values_list("event_time", flat=True).first()


class EventLog(models.Model):
    """One authentic push of WeChat, or one answer of its API. The truth of this site.

    Rows are only ever added; what happened to them since (folding, replying) is kept beside what
    arrived. On PostgreSQL the table is partitioned by month of event_time
    (events/retention/partitions.py), so no foreign key may point at it; others keep id and time.
    """

    class Source(models.TextChoices):
        CALLBACK = "callback", _("callback")
        IMPORT = "import", _("import")
        RECONCILE = "reconcile", _("reconcile")

    class Status(models.TextChoices):
        RECEIVED = "received", _("received")
        PROCESSED = "processed", _("processed")
        FAILED = "failed", _("failed")
        DEAD = "dead", _("given up")
        UNREADABLE = "unreadable", _("unreadable")
        QUARANTINED = "set_aside", _("quarantined")

    class AnsweredBy(models.TextChoices):
        """How a reply reached the follower: KEPT and NONE are those that have not."""

        NOBODY_YET = "", _("no answer")
        REPLY = "reply", _("reply")
        MESSAGE = "message", _("customer-service message")
        NEXT = "next", _("reply to the next message")
        KEPT = "kept", _("unanswered: kept for the next message")
        NONE = "none", _("unanswered: reached nobody")

    # Of most rows, so no index has them.
    USUAL_ANSWERS = ("", "reply")

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.PROTECT,
        db_index=False,  # the unique constraint begins with it
        related_name="events",
        verbose_name=_("Official Account"),
    )
    source = models.CharField(
        _("source"), max_length=10, choices=Source.choices, default=Source.CALLBACK
    )
    dedup_key = models.CharField(max_length=32)
    msg_type = models.CharField("MsgType", max_length=64, blank=True)
    event = models.CharField("Event", max_length=64, blank=True)
    kind = models.CharField(_("kind"), max_length=64)
    from_user = models.CharField("FromUserName", max_length=64, blank=True)
    openid = models.CharField("OpenID", max_length=64, blank=True)
    event_key = models.TextField("EventKey", blank=True)
    scene = models.CharField(_("scene"), max_length=64, blank=True)
    ticket = models.TextField("Ticket", blank=True)
    msg_id = models.CharField("MsgId", max_length=64, blank=True)
    event_time = models.DateTimeField(_("event time"))
    received_at = models.DateTimeField(_("received at"))
    last_delivered_at = models.DateTimeField(_("last delivery"))
    delivery_count = models.PositiveIntegerField(_("deliveries"), default=1)
    raw = models.BinaryField(_("body"))
    folded_at = models.DateTimeField(_("folded"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True, default="")
    processed_at = models.DateTimeField(_("outcome"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True, blank=True)
    reply = models.TextField(_("reply"), blank=True, default="")
    mended = models.BooleanField(
        _("mended"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("A field of the body is broken; it is shown as well as it can be read."),
    )
    # Who makes the reply, and how long the others wait for that (events/log/leases.py).
    lease = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    # By MESSAGE, once it is sent.
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)
    answered_by = models.CharField(
        _("answered by"),
        max_length=7,
        choices=AnsweredBy.choices,
        blank=True,
        default=AnsweredBy.NOBODY_YET,
        db_default="",
    )
    is_cut = models.BooleanField(_("answer cut short"), default=False, db_default=False)
    # Restored from an archive after its removal: the carried-over state has it already.
    is_carried_over = models.BooleanField(default=False, db_default=False, editable=False)
    # When retention or an erasure emptied `raw`.
    body_removed_at = models.DateTimeField(_("body removed"), null=True, blank=True)
    # Set if the row is an answer of the API and no push: the last follow as WeChat tells it.
    followed_at = models.DateTimeField(_("followed"), null=True, blank=True)

    objects = EventLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            # Events arrive in the order of their times, so this index grows at its end. With
            # dedup_key first, each insert would touch a page of its own.
            models.UniqueConstraint(
                fields=["account", "event_time", "dedup_key"], name="event_delivered_once"
            ),
            models.CheckConstraint(
                name="event_source",
                condition=models.Q(source__in=["callback", "import", "reconcile"]),
            ),
            models.CheckConstraint(
                name="event_status",
                condition=models.Q(
                    status__in=[
                        "received", "processed", "failed", "dead", "unreadable", "set_aside"
                    ]
                ),
            ),
            models.CheckConstraint(
                name="event_answered_by",
                condition=models.Q(
                    answered_by__in=["", "reply", "message", "next", "kept", "none"]
                ),
            ),
            models.CheckConstraint(
                name="event_fold_only_ours",
                condition=models.Q(folded_at=None)
                | ~models.Q(status__in=["unreadable", "set_aside"]),
            ),
        ]  # fmt: skip
        indexes = [
            # One account's events, newest first.
            models.Index(fields=["account", "id"], name="event_account"),
            # A day's rows of one account: statistics, and the API's event_time filters. The unique
            # key begins like it, but does not put those of one second in the list's order.
            models.Index(fields=["account", "event_time"], name="event_account_time"),
            # A stretch of time, of all accounts: the filters by event_time and received_at, which
            # put the list in that order. Both grow at their end: an insert costs little.
            models.Index(fields=["event_time", "id"], name="event_by_time"),
            models.Index(fields=["received_at", "id"], name="event_by_receipt"),
            # One follower's events, newest first; the refold of one follower.
            models.Index(
                fields=["openid", "id"], name="event_openid", condition=~models.Q(openid="")
            ),
            # One kind's events, newest first; the list of kinds that occur.
            models.Index(fields=["kind", "id"], name="event_kind"),
            # One scene's follows and scans.
            models.Index(fields=["scene", "id"], name="event_scene", condition=~models.Q(scene="")),
            # One menu key or URL. EventKey has no length limit, an index entry has.
            models.Index(
                EventKeyPrefix("event_key"),
                "id",
                name="event_key_prefix",
                condition=~models.Q(event_key=""),
            ),
            # What the worker takes next.
            models.Index(
                fields=["next_attempt_at"],
                name="event_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            # What WeChat pushed more than once: statistics.
            models.Index(
                fields=["received_at"],
                name="event_repeated",
                condition=models.Q(delivery_count__gt=1),
            ),
            # What operators look for: all events with trouble.
            models.Index(
                fields=["status", "id"],
                name="event_status",
                condition=~models.Q(status="processed"),
            ),
            # What was mended.
            models.Index(fields=["id"], name="event_mended", condition=models.Q(mended=True)),
            # What the follower's next message is answered with.
            models.Index(
                fields=["openid"],
                name="event_kept_answer",
                condition=models.Q(answered_by="kept"),
            ),
            # Answers that took another way than the usual one, unanswered ones among them.
            models.Index(
                fields=["answered_by", "id"],
                name="event_answered_by",
                condition=~models.Q(answered_by__in=["", "reply"]),
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} {label(self.kind)}"

    @functools.cached_property
    def payload(self) -> Mapping[str, Any] | None:
        """The body as nested mappings; None when it cannot be read."""
        try:
            body = bytes(self.raw)
            # What an unreadable row holds is not read here: nothing in it could be masked.
            return mending.read(body).fields if self.mended else xml.parse(body)
        except Unreadable:
            return None

    @property
    def awaits_outcome(self) -> bool:
        return self.status in {self.Status.RECEIVED, self.Status.FAILED}

    @property
    def passive_reply(self) -> str:
        """The reply's XML as WeChat takes it: a longer text only as far as it goes."""
        return fitting(self.reply, is_cut=self.is_cut)

    @property
    def is_binding_scan(self) -> bool:
        """Whether the row carries a binding scene, which must not be shown."""
        return binding_scenes.is_binding_scene(self.scene)

    def masked(self, text: str) -> str:
        """A text of this row as it may be shown: without binding scenes and their tickets."""
        text = binding_scenes.mask(text)
        if self.ticket and self.is_binding_scan:
            text = text.replace(self.ticket, viewer.HIDDEN)
        if not viewer.may_see_openids():
            for openid in {self.openid, self.from_user} - {""}:
                text = text.replace(openid, viewer.shown_openid(openid))
        return text

    def masked_content(self, text: str) -> str:
        """A text in which the follower's or our own words may stand."""
        return self.masked(text) if viewer.may_see_contents() or not text else viewer.HIDDEN

    def masked_payload(self, payload: Any) -> Any:
        """A payload of this row, or a part of one, with every text masked."""
        match payload:
            case str():
                return self.masked(payload)
            case dict():
                return {
                    name: self.masked_payload(value)
                    if name in _ENVELOPE or viewer.may_see_contents()
                    else viewer.HIDDEN
                    for name, value in payload.items()
                }
            case list():
                return [self.masked_payload(value) for value in payload]
            case _:
                return payload
