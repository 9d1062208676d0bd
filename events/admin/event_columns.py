"""The columns and fields of the pages of the event log."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.base import ModelAdmin
from events.admin.html import fold_out, follower_link, moment, nested_table, verbatim
from events.answering.hits import rules_that_answered
from events.kinds import KINDS, label
from events.models import EventLog
from events.search.fill import words_in
from events.viewer import may

__all__ = ["STATUS_COLOURS", "EventColumns"]

# Characters of a key and of a text in the list.
_KEY_LENGTH = 40
_WORDS_LENGTH = 60

STATUS_COLOURS = {
    EventLog.Status.RECEIVED.value: "info",
    EventLog.Status.PROCESSED.value: "success",
    EventLog.Status.FAILED.value: "warning",
    EventLog.Status.DEAD.value: "danger",
    EventLog.Status.UNREADABLE.value: "danger",
    EventLog.Status.QUARANTINED.value: "warning",
}


class EventColumns(ModelAdmin):
    """A base class of the admin of EventLog."""

    @display(description=_("event time"))
    def time(self, event: EventLog) -> str:
        return moment(event.event_time, event.account)

    @display(description=_("received at"))
    def received(self, event: EventLog) -> str:
        return moment(event.received_at, event.account)

    @display(description=_("last delivery"))
    def last_delivery(self, event: EventLog) -> str:
        return moment(event.last_delivered_at, event.account)

    @display(description=_("folded"))
    def folded(self, event: EventLog) -> str:
        return moment(event.folded_at, event.account)

    @display(description=_("outcome"))
    def outcome(self, event: EventLog) -> str:
        return moment(event.processed_at, event.account)

    @display(description=_("answered"))
    def answered(self, event: EventLog) -> str:
        return moment(event.answered_at, event.account)

    @display(description=_("next attempt"))
    def next_attempt(self, event: EventLog) -> str:
        return moment(event.next_attempt_at, event.account)

    @display(description=_("kind"))
    def kind_label(self, event: EventLog) -> str:
        if event.kind in KINDS:
            return label(event.kind)
        return render_to_string("admin/events/eventlog/unknown_kind.html", {"kind": event.kind})

    @display(description=_("follower"))
    def follower(self, event: EventLog) -> str:
        return follower_link(event.openid)

    @display(description=_("key or scene"))
    def key(self, event: Any) -> str:
        text = event.masked(event.scene or event.event_key)
        shown = text if len(text) <= _KEY_LENGTH else text[:_KEY_LENGTH] + "…"
        return render_to_string(
            "admin/events/eventlog/key.html",
            {
                "name": event.menu_name,
                "code_name": event.masked(event.code_name),
                "text": text,
                "shown": shown or "–",
            },
        )

    @display(description=_("key or scene"))
    def whole_key(self, event: Any) -> str:
        text = event.masked(event.scene or event.event_key) or "–"
        return render_to_string(
            "admin/events/eventlog/whole_key.html",
            {
                "name": event.menu_name,
                "code_name": event.masked(event.code_name),
                "text": text,
            },
        )

    @display(description=_("text"))
    def words(self, event: EventLog) -> str:
        words = event.masked_content(words_in(event))
        return words if len(words) <= _WORDS_LENGTH else words[:_WORDS_LENGTH] + "…"

    @display(description=_("status"), label=STATUS_COLOURS)
    def badge(self, event: EventLog) -> tuple[str, str]:
        return event.status, event.get_status_display()

    @display(description="Ticket")
    def shown_ticket(self, event: EventLog) -> str:
        return event.masked(event.ticket) or "–"

    @display(description=_("fields"))
    def shown_payload(self, event: EventLog) -> str:
        if event.body_removed_at is not None:
            return str(
                _("The body was removed on %s.") % moment(event.body_removed_at, event.account)
            )
        payload = event.payload
        if payload is None:
            return str(_("The body cannot be read."))
        return nested_table(event.masked_payload(payload))

    @display(description=_("body"))
    def shown_raw(self, event: EventLog) -> str:
        return verbatim(event.masked_content(bytes(event.raw).decode("utf-8", errors="replace")))

    @display(description=_("reply rule"))
    def rule(self, event: EventLog) -> str:
        """The rule that answered, which the site knows for 100 days."""
        answered = rules_that_answered([event.pk]).get(event.pk)
        if answered is None:
            return "–"
        rule, name = answered
        may_see = may("events.view_replyrule")
        return render_to_string(
            "admin/events/eventlog/rule.html", {"rule": rule, "name": name, "may_see": may_see}
        )

    @display(description=_("reply"))
    def shown_reply(self, event: EventLog) -> str:
        return verbatim(event.masked_content(event.reply))

    @display(description=_("error"))
    def shown_error(self, event: EventLog) -> str:
        return fold_out(event.masked_content(event.error))
