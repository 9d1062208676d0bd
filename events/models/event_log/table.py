"""The event log: its table, and the queries that its readers use."""

from __future__ import annotations

import datetime
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import binding_scenes, viewer
from events.db.upsert import Upsert
from events.kinds import label
from events.models.account import OfficialAccount
from events.models.event_log.choices import AnsweredBy, Source, Status
from events.models.event_log.filters import IndexedFilters
from events.models.event_log.indexes import CONSTRAINTS, INDEXES
from events.months import Month
from events.wechat import Unreadable, fitting, mending, xml

# Fields of a body that say which message came, but neither its contents nor a person's position.
ENVELOPE = {
    *("ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "EventKey", "Ticket"),
    *("MsgId", "MsgID", "MenuId", "OpenID", "Encrypt", "Status"),
}

# The unique key of the log.
_KEY = ("account_id", "event_time", "dedup_key")


# The columns that a new row sets; all other columns begin with their defaults.
_VALUES = (
    *("source", "msg_type", "event", "kind", "from_user", "openid", "event_key", "scene", "ticket"),
    *("msg_id", "received_at", "last_delivered_at", "delivery_count", "raw", "folded_at", "status"),
    *("next_attempt_at", "error", "processed_at", "duration_ms", "reply", "followed_at"),
    *("answered_at", "answered_by", "mended"),
)


_row_of = operator.attrgetter(*_KEY, *_VALUES)


@functools.cache
def delivery_statement(model: type[EventLog]) -> Upsert:
    """Returns the statement that stores new events, and counts further deliveries of old ones."""
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


class EventLogQuerySet(IndexedFilters["EventLog"]):
    def deliver(self, events: Sequence[EventLog]) -> list[bool]:
        """Inserts each row, or counts one more delivery of the row with the same key.

        It stores in the order of the keys, so that two processes with the same pushes do not
        deadlock. One statement counts, so the count is exact under races. Sets the pk of each
        event. Returns which events are new; if a push occurs twice, only its first event is.
        """
        deliveries: dict[tuple[Any, ...], list[EventLog]] = {}
        for event in events:
            key = (event.account_id, event.event_time, event.dedup_key)
            deliveries.setdefault(key, []).append(event)
        pushes = [same for _, same in sorted(deliveries.items())]
        for same in pushes:
            same[0].delivery_count = len(same)
        stored = delivery_statement(self.model).execute(
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
        """Selects the stored row with the same push as this unsaved row, if there is one."""
        return self.filter(
            account=event.account_id, event_time=event.event_time, dedup_key=event.dedup_key
        )

    def with_key_of(self, event: EventLog) -> EventLogQuerySet:
        """Selects this row. With the event_time PostgreSQL reads only the row's partition."""
        return self.filter(pk=event.pk, event_time=event.event_time)

    def only_key(self) -> EventLogQuerySet:
        return self.only("pk", "event_time")

    def awaiting_outcome(self) -> EventLogQuerySet:
        return self.filter(status__in=[self.model.Status.RECEIVED, self.model.Status.FAILED])

    def due(self, now: datetime.datetime) -> EventLogQuerySet:
        """The rows that are due for the worker, the longest waiting first."""
        return self.filter(next_attempt_at__lte=now).order_by("next_attempt_at")

    def kept_for(self, account_id: int, openid: str) -> EventLogQuerySet:
        """Rows whose answer waits for this follower's next message."""
        kept = self.model.AnsweredBy.KEPT
        return self.filter(openid=openid, account=account_id, answered_by=kept)

    def folded(self) -> EventLogQuerySet:
        return self.filter(folded_at__isnull=False)

    def not_carried_over(self) -> EventLogQuerySet:
        """The folded rows that the carried-over state does not contain."""
        return self.folded().filter(is_carried_over=False)

    def in_month(self, month: Month) -> EventLogQuerySet:
        return self.filter(event_time__gte=month.start, event_time__lt=month.end)

    def newest_first(self) -> EventLogQuerySet:
        return self.order_by("-id")


class EventLog(models.Model):
    """One authentic push of WeChat, or one answer of its API. This table is the site's truth.

    A row keeps what arrived; further columns record what happened to it since (fold, reply). On
    PostgreSQL the table is partitioned by month of event_time (events/retention/partitions.py), so
    no foreign key may point at it: other tables keep a row's id and time.
    """

    Source = Source
    Status = Status
    AnsweredBy = AnsweredBy

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
    # The run that makes the reply, and until when it has the row (events/log/replies/leases.py).
    lease = models.CharField(max_length=16, blank=True, default="", db_default="", editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    # For answered_by MESSAGE: when the message was sent.
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
    # An archive brought the row back; the carried-over state contains it already.
    is_carried_over = models.BooleanField(default=False, db_default=False, editable=False)
    # The time at which retention or an erasure emptied `raw`.
    body_removed_at = models.DateTimeField(_("body removed"), null=True, blank=True)
    # If the row is an answer of the API and no push: the person's last follow, as WeChat says.
    followed_at = models.DateTimeField(_("followed"), null=True, blank=True)

    objects = EventLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = CONSTRAINTS
        indexes = INDEXES

    def __str__(self) -> str:
        return f"#{self.pk} {label(self.kind)}"

    @functools.cached_property
    def payload(self) -> Mapping[str, Any] | None:
        """The body as nested mappings; None when it cannot be read."""
        try:
            body = bytes(self.raw)
            # Mending is not for unreadable rows: the site could not mask what it reads in them.
            return mending.read(body).fields if self.mended else xml.parse(body)
        except Unreadable:
            return None

    @property
    def awaits_outcome(self) -> bool:
        return self.status in {self.Status.RECEIVED, self.Status.FAILED}

    @property
    def passive_reply(self) -> str:
        """The reply's XML within WeChat's limit: of a longer text only the beginning."""
        return fitting(self.reply, is_cut=self.is_cut)

    @property
    def is_binding_scan(self) -> bool:
        """Whether the row carries a binding scene, which must not be shown."""
        return binding_scenes.is_binding_scene(self.scene)

    def masked(self, text: str) -> str:
        """Masks a text of this row for pages: binding scenes, their tickets, and OpenIDs.

        OpenIDs are masked only for viewers who may not see them.
        """
        text = binding_scenes.mask(text)
        if self.kind == "text":
            text = binding_scenes.mask_codes(text, self.received_at, now=timezone.now())
        if self.ticket and self.is_binding_scan:
            text = text.replace(self.ticket, viewer.HIDDEN)
        if not viewer.may_see_openids():
            for openid in {self.openid, self.from_user} - {""}:
                text = text.replace(openid, viewer.shown_openid(openid))
            # Mask those of others too: the giver of a card, the sender of an unreadable push.
            text = viewer.without_openids(text)
        return text

    def masked_content(self, text: str) -> str:
        """Masks a text that may contain the follower's words or our own."""
        return self.masked(text) if viewer.may_see_contents() or not text else viewer.HIDDEN

    def masked_payload(self, payload: Any) -> Any:
        """Masks every text in a payload of this row, or in a part of one."""
        match payload:
            case str():
                return self.masked(payload)
            case dict():
                return {
                    name: self.masked_payload(value)
                    if name in ENVELOPE or viewer.may_see_contents()
                    else viewer.HIDDEN
                    for name, value in payload.items()
                }
            case list():
                return [self.masked_payload(value) for value in payload]
            case _:
                return payload
