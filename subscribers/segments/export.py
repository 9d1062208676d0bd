"""Writes followers into files for spreadsheets, in the worker, and removes old files."""

from __future__ import annotations

import csv
import datetime
import io
import tempfile
import zoneinfo
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

import xlsxwriter
from django.conf import settings
from django.core.files import File
from django.db import transaction
from django.utils import timezone, translation
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from events.db.keyset import portions
from events.jobs.run import GaveUp, serve
from events.models import private_files, remove_with_files, with_account
from events.models.job import LeaseLost
from events.platform.failures import EXPLANATIONS
from events.spreadsheets import harmless
from events.viewer import account_ids, may, may_see_openids, shown_openid, viewed_by, visible_to
from subscribers.models import Erasure, FollowerExport, QRScene, Subscriber
from subscribers.models.binding import with_bound_user
from subscribers.segments.conditions import matching, taken
from subscribers.tagging.tag_names import tag_names, tags_of

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "KEPT", "may_still_see", "remove_expired", "write_exports"]

KEPT = datetime.timedelta(days=3)
FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    "not_allowed": _("The user may not export followers any more."),
}

# Ten million rows take a few minutes, so this is long enough.
_LEASE = datetime.timedelta(minutes=30)
# Excel's limit for a sheet; it includes the headings.
_ROWS_OF_A_SHEET = 1_048_576


def write_exports() -> int:
    """Writes the exports that are due; returns how many (`serve`)."""
    return serve(FollowerExport.objects.all(), _write, lease=_LEASE)


def remove_expired() -> int:
    """Removes expired exports with their files; returns how many."""
    return remove_with_files(FollowerExport.objects.filter(expires_at__lte=timezone.now()))


def _write(export: FollowerExport) -> None:
    user: Any = export.user
    if not user.is_active or not user.has_perm("subscribers.add_followerexport"):
        raise GaveUp("not_allowed")
    erased = Erasure.objects.done().count()
    suffix = f".{export.format}"
    with tempfile.TemporaryFile(suffix=suffix) as target:
        # The worker sees everything; this file shows what its user may see.
        with viewed_by(SimpleNamespace(user=user)), translation.override(export.language):
            shows = _sight(user)
            rows = _Counted(_rows(export))
            (_write_csv if export.format == export.Format.CSV else _write_xlsx)(rows, target)
        target.seek(0)
        name = private_files().save(f"exports/followers{suffix}", File(target))
    now = timezone.now()
    with transaction.atomic():
        # An erasure that has begun may have passed this export's row already, so wait for its end.
        list(Erasure.objects.open().select_for_update(of=("self",)).values_list("pk"))
        # The file may name a person who was erased meanwhile, so it is written anew.
        is_current = Erasure.objects.done().count() == erased
        if is_current:
            columns = {"file": name, "rows": rows.number, "shows": shows}
            has_ended = FollowerExport.objects.finish(
                export, written_at=now, expires_at=now + KEPT, **columns
            )
        else:
            has_ended = FollowerExport.objects.release(export, now)
    if not (is_current and has_ended):
        private_files().delete(name)
    if not has_ended:
        raise LeaseLost


def may_still_see(user: Any, export: FollowerExport) -> bool:
    """Whether the user may see today all that the export's file shows."""
    then, now = export.shows, _sight(user)
    if export.account_id is not None:
        then = then | {"accounts": [export.account_id]}
    if now["accounts"] is not None and (
        then["accounts"] is None or not set(then["accounts"]) <= set(now["accounts"])
    ):
        return False
    return all(now[what] or not then[what] for what in ("openids", "bindings"))


def _sight(user: Any) -> dict[str, Any]:
    """What a user may see of followers: the accounts (None: all), OpenIDs in clear, bindings."""
    ids = account_ids(user)
    return {
        "accounts": None if ids is None else sorted(ids),
        "openids": user.has_perm("events.view_openids_in_clear"),
        "bindings": user.has_perm("subscribers.view_binding"),
    }


class _Counted:
    """Passes rows on and counts them; `number` leaves out the row of headings."""

    def __init__(self, rows: Iterable[list[Any]]) -> None:
        self.rows = rows
        self.number = -1

    def __iter__(self) -> Iterator[list[Any]]:
        for row in self.rows:
            self.number += 1
            yield row


def _rows(export: FollowerExport) -> Iterator[list[Any]]:
    """The headings, then a row for each follower, with times by the account's clock."""
    clear, bound = may_see_openids(), may("subscribers.view_binding")
    yield [
        str(capfirst(title))
        for title, is_shown in (
            ("OpenID", True), (_("Official Account"), True), (_("remark"), clear),
            (_("status"), True), (_("first channel"), True), (_("first scene"), True),
            (_("first followed"), True), (_("last followed"), True),
            (_("last unfollowed"), True), (_("last seen"), True), (_("follows"), True),
            (_("events"), True), (_("tags (标签)"), True), (_("bound user"), bound),
        )
        if is_shown
    ]  # fmt: skip
    followers = visible_to(export.user, with_account(Subscriber.objects.all()))
    zone = zoneinfo.ZoneInfo(settings.TIME_ZONE)
    if export.account is not None:
        followers, zone = followers.filter(account=export.account), export.account.zone
    followers = with_bound_user(matching(followers, taken(export.conditions), zone))
    for portion in portions(followers, None):
        names = _channel_names(portion)
        tags = tag_names({each.account_id for each in portion})
        for each in portion:
            zone = each.account.zone
            yield [
                shown_openid(each.openid),
                each.account.name,
                *([each.remark] if clear else []),
                str(each.follow_status),
                names.get((each.account_id, each.first_scene), ""),
                each.first_scene,
                *(
                    at and at.astimezone(zone).replace(tzinfo=None, microsecond=0)
                    for at in (
                        each.first_followed_at, each.last_followed_at, each.last_unfollowed_at,
                        each.last_seen_at,
                    )
                ),
                each.follow_count,
                each.event_count,
                ", ".join(tags_of(each, tags)),
                *([each.bound_username or ""] if bound else []),
            ]  # fmt: skip


def _channel_names(followers: list[Subscriber]) -> dict[tuple[int, str], str]:
    codes = QRScene.objects.filter(
        account__in={each.account_id for each in followers},
        scene__in={each.first_scene for each in followers} - {""},
    )
    return {(pk, scene): name for pk, scene, name in codes.values_list("account", "scene", "name")}


def _write_csv(rows: Iterable[list[Any]], target: IO[bytes]) -> None:
    # Excel takes a file for UTF-8 only if it begins with the mark that utf-8-sig writes.
    text = io.TextIOWrapper(target, encoding="utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    text.flush()
    text.detach()


def _csv_cell(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value


def _write_xlsx(rows: Iterable[list[Any]], target: IO[bytes]) -> None:
    # constant_memory writes each row to the disk, so that any number of rows takes little memory.
    book = xlsxwriter.Workbook(target, {"constant_memory": True})
    bold = book.add_format({"bold": True})
    time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    headings: list[Any] = []
    sheet: Any = None
    number = _ROWS_OF_A_SHEET
    for row in rows:
        if not headings:
            headings = row
            continue
        if number == _ROWS_OF_A_SHEET:
            sheet = _new_sheet(book, headings, bold)
            number = 1
        for column, value in enumerate(row):
            match value:
                case None | "":
                    continue
                case datetime.datetime():
                    sheet.write_datetime(number, column, value, time)
                case str():
                    # write_string takes nothing for a formula or a link.
                    sheet.write_string(number, column, value)
                case _:
                    sheet.write_number(number, column, value)
        number += 1
    if sheet is None:
        _new_sheet(book, headings, bold)
    book.close()


def _new_sheet(book: Any, headings: list[Any], bold: Any) -> Any:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(headings) - 1, 20)
    for column, heading in enumerate(headings):
        sheet.write_string(0, column, heading, bold)
    return sheet
