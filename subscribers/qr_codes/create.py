"""Creates QR codes of campaigns, one or thousands at once, from a form, a list or the API.

This module only writes rows; the worker fetches the tickets (`fetch_tickets`). A code that was
made elsewhere, and has its picture there, can be adopted: it gets a name here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from events.models import EventLog, OfficialAccount
from subscribers.models import QRScene, SceneTag
from subscribers.models.qr_code import MOST_PERMANENT_CODES
from subscribers.models.scene import new_scene, validate_one_line, validate_scene

__all__ = [
    "LONGEST_LIST",
    "LONGEST_SCENE_TAG",
    "NEAR_THE_LIMIT",
    "NewQRCode",
    "PermanentCodesUsedUp",
    "Problem",
    "SceneTaken",
    "create_qr_code",
    "create_qr_codes",
    "permanent_codes_left",
    "read_list",
    "taken_scenes",
    "ticket_in_log",
]

LONGEST_LIST = 5000
LONGEST_NAME = 100
LONGEST_SCENE_TAG = 30
# Operators see how many permanent codes are left once an account has this many.
NEAR_THE_LIMIT = 90_000
_BATCH = 500

# Headings of columns in spreadsheets, in lower case.
_NAME_COLUMN = {"name", "名称", "名字"}
_SCENE_COLUMN = {"scene", "场景", "场景值", "scene_str"}
# A Chinese comma with a scene behind it. If both became part of the name, the code would get a
# random scene, which nobody can change later.
_CHINESE_COMMA = re.compile(r"，\s*[\w-]{1,64}\s*(，|$)", re.ASCII)


class SceneTaken(Exception):
    """Some of the scenes have codes already; `scenes` lists them."""

    def __init__(self, scenes: Iterable[str]) -> None:
        self.scenes = sorted(scenes)
        super().__init__(", ".join(self.scenes))


class PermanentCodesUsedUp(Exception):
    """WeChat makes no more permanent codes for this account; `left` is how many it still makes."""

    def __init__(self, left: int) -> None:
        self.left = left
        super().__init__(f"{left} permanent codes left")


@dataclass(frozen=True, slots=True)
class NewQRCode:
    """A code to create. An empty scene becomes a random one."""

    name: str
    scene: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line of a list creates no code; lines are numbered from 1."""

    line: int
    text: str

    def __str__(self) -> str:
        return _("Line %(line)s: %(problem)s") % {"line": self.line, "problem": self.text}


def create_qr_code(
    account: OfficialAccount,
    code: NewQRCode,
    *,
    expire_seconds: int | None = None,
    tags: Sequence[str] = (),
    adopt: bool = False,
) -> QRScene:
    """Creates one code as `create_qr_codes` does."""
    [made] = create_qr_codes(account, [code], expire_seconds=expire_seconds, tags=tags, adopt=adopt)
    return made


def create_qr_codes(
    account: OfficialAccount,
    codes: Sequence[NewQRCode],
    *,
    expire_seconds: int | None = None,
    tags: Sequence[str] = (),
    adopt: bool = False,
) -> list[QRScene]:
    """Creates all of these codes, or none.

    They are permanent, or live `expire_seconds` from the moment they are fetched. With `adopt`
    they exist elsewhere, and nothing is fetched. Raises `SceneTaken` and `PermanentCodesUsedUp`.
    """
    now = timezone.now()
    if expire_seconds is None and not adopt:
        left = permanent_codes_left(account)
        if len(codes) > left:
            raise PermanentCodesUsedUp(left)
    rows = [
        QRScene(
            account=account,
            scene=code.scene or new_scene(),
            name=code.name,
            note=code.note,
            is_permanent=expire_seconds is None,
            expire_seconds=expire_seconds,
            due_at=None if adopt else now,
        )
        for code in codes
    ]
    if adopt:
        for row in rows:
            row.ticket = ticket_in_log(account, row.scene)
    try:
        with transaction.atomic():
            made = QRScene.objects.bulk_create(rows, batch_size=_BATCH)
            tagged = SceneTag.named(tags) if tags else []
            QRScene.tags.through.objects.bulk_create(
                [
                    QRScene.tags.through(qrscene_id=row.pk, scenetag_id=tag.pk)
                    for row in made
                    for tag in tagged
                ],
                batch_size=_BATCH,
            )
    except IntegrityError:
        taken = taken_scenes(account, [row.scene for row in rows])
        if not taken:
            raise
        raise SceneTaken(taken) from None
    return made


def permanent_codes_left(account: OfficialAccount) -> int:
    """How many permanent codes WeChat still makes for the account, as far as this site knows."""
    made = QRScene.objects.filter(account=account, is_permanent=True).count()
    return max(0, MOST_PERMANENT_CODES - made)


def taken_scenes(account: OfficialAccount, scenes: Sequence[str]) -> set[str]:
    """Those of the scenes that have a code already."""
    of_account = QRScene.objects.filter(account=account)
    return {
        scene
        for start in range(0, len(scenes), _BATCH)
        for scene in of_account.filter(scene__in=scenes[start : start + _BATCH]).values_list(
            "scene", flat=True
        )
    }


def ticket_in_log(account: OfficialAccount, scene: str) -> str:
    """The ticket of the newest follow or scan with this scene; "" if there is none."""
    event = (
        EventLog.objects.with_scene(scene)
        .filter(account=account)
        .exclude(ticket="")
        .newest_first()
        .only("ticket")
        .first()
    )
    return event.ticket if event else ""


# --- Lists -------------------------------------------------------------------------------------


def read_list(text: str, account: OfficialAccount) -> tuple[list[NewQRCode], list[Problem]]:
    """Reads a pasted or uploaded list; returns its codes, and the problems of its other lines.

    A line is a name, or name, scene and note with tabs or commas between them, as a spreadsheet
    copies or saves them. It skips empty lines, and a first line with headings.
    """
    codes: dict[int, NewQRCode] = {}
    problems: list[Problem] = []
    first_with: dict[str, int] = {}
    lines = [line.lstrip("\ufeff") for line in re.split(r"\r\n|\r|\n", text)]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            code = _code_in(line)
        except ValidationError as error:
            problems.append(Problem(number, " ".join(error.messages)))
            continue
        if not codes and not problems and _names_columns(code):
            continue
        if code.scene in first_with:
            problem = _("Line %s has the same scene.") % first_with[code.scene]
            problems.append(Problem(number, problem))
            continue
        if code.scene:
            first_with[code.scene] = number
        codes[number] = code
    taken = taken_scenes(account, list(first_with))
    problems += [
        Problem(number, _("A code with the scene “%s” exists already.") % codes.pop(number).scene)
        for number in [number for number, code in codes.items() if code.scene in taken]
    ]
    return list(codes.values()), sorted(problems, key=lambda problem: problem.line)


def _names_columns(code: NewQRCode) -> bool:
    return code.name.lower() in _NAME_COLUMN and code.scene.lower() in _SCENE_COLUMN


def _code_in(line: str) -> NewQRCode:
    """The code that a line describes. Raises ValidationError."""
    cells = _cells(line)
    if len(cells) > 3:
        raise ValidationError(_("The line has more than name, scene and note."))
    name, scene, note = (*cells, "", "")[:3]
    if not name:
        raise ValidationError(_("The name is missing."))
    if len(name) > LONGEST_NAME:
        raise ValidationError(_("The name has more than 100 characters."))
    if len(cells) == 1 and not line.lstrip().startswith('"') and _CHINESE_COMMA.search(name):
        raise ValidationError(
            _(
                "Between name and scene stands a plain comma (,) or a tab, not “，”. If all of it "
                "is the name, put it between quotation marks."
            )
        )
    validate_one_line(name)
    if scene:
        validate_scene(scene)
    if "\0" in note:
        raise ValidationError(_("The text has a character that cannot be printed."))
    return NewQRCode(name, scene, note)


def _cells(line: str) -> list[str]:
    try:
        [cells] = csv.reader([line], delimiter="\t" if "\t" in line else ",", strict=True)
    except csv.Error:
        raise ValidationError(
            _("Put quotation marks around a whole cell, in one line, and double them within it.")
        ) from None
    cells = [cell.strip() for cell in cells]
    # A spreadsheet saves empty columns too.
    while len(cells) > 1 and not cells[-1]:
        cells.pop()
    return cells
