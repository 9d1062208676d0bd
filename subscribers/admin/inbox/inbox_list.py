"""The lists of conversations in the inbox: who waits, the user's own, all."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.db.keyset import RowCursor
from subscribers.admin.inbox.inbox_parts import row_of
from subscribers.inbox.lists import COUNTED_UP_TO, LISTS, beyond, in_list, length_of
from subscribers.models import Conversation

__all__ = ["list_of"]

_ROWS = 50
_WHY_EMPTY = {
    "waiting": _("Nobody waits for an answer. Who writes next is listed here."),
    "closing": _("Nobody waits whose reply window closes within three hours."),
    "mine": _(
        "No conversation is yours. One that you answer, or that is assigned to you, is listed here."
    ),
    "all": _("No follower has written yet. Conversations are listed here as soon as one does."),
}


def list_of(
    request: HttpRequest, rows: QuerySet[Conversation], opened: int | None
) -> dict[str, Any]:
    """One page of the list that the query string chooses, and the length of each list."""
    now = timezone.now()
    account = request.GET.get("account", "")
    if account:
        rows = rows.filter(account__slug=account)
    name = request.GET.get("list", "waiting")
    name = name if name in LISTS else "waiting"
    chosen = in_list(rows, name, request.user.pk, now)
    column = "window_until" if name in {"waiting", "closing"} else "last_at"
    after = RowCursor.parse(request.GET.get("after"), column)
    if after is not None and after.at is not None:
        chosen = beyond(chosen, name, after.at, after.pk)
    found = list(chosen[: _ROWS + 1])
    query = {"list": name, **({"account": account} if account else {})}
    more = len(found) > _ROWS
    return {
        "rows": [row_of(row, now, opened) for row in found[:_ROWS]],
        "more": urlencode(query | {"after": str(RowCursor.of(found[_ROWS - 1], column))})
        if more
        else "",
        "lists": [
            {
                "name": LISTS[each],
                "query": urlencode(query | {"list": each}),
                "is_chosen": each == name,
                "number": _number(in_list(rows, each, request.user.pk, now))
                if each != "all"
                else "",
            }
            for each in LISTS
        ],
        "why_empty": _WHY_EMPTY[name],
        "query": urlencode(query),
        "rows_query": urlencode(
            query | ({"open": opened} if opened else {}) | ({"after": str(after)} if after else {})
        ),
    }


def _number(rows: QuerySet[Conversation]) -> str:
    number = length_of(rows)
    return f"{COUNTED_UP_TO}+" if number > COUNTED_UP_TO else str(number)
