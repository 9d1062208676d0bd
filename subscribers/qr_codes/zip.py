"""Writes many QR codes into one ZIP file, which is sent while it is made, to save memory."""

from __future__ import annotations

import csv
import io
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence

from events.models import with_account
from events.spreadsheets import harmless
from subscribers.models import QRScene
from subscribers.qr_codes.images import png
from subscribers.qr_codes.logo import logo_of

__all__ = ["LIST_NAME", "archive", "file_name"]

LIST_NAME = "codes.csv"

_AT_ONCE = 100
# In bytes. With scene, number and ending, a name stays below the 255 that file systems allow.
_LONGEST_NAME = 120
_LONGEST_SCENE = 80


def archive(ids: Sequence[int]) -> Iterator[bytes]:
    """Yields a ZIP file with a PNG of each of these codes that can be scanned.

    The last file in it, `LIST_NAME`, lists all codes, also those without a picture.
    """
    target = _Pieces()
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["file", "name", "scene", "account", "state", "expires_at", "url"])
    taken: set[str] = set()
    # Stored without compression: the pictures are compressed already.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:
        for start in range(0, len(ids), _AT_ONCE):
            chosen = with_account(QRScene.objects.select_related("logo")).in_bulk(
                ids[start : start + _AT_ONCE]
            )
            for pk in ids[start : start + _AT_ONCE]:
                scene = chosen.get(pk)
                if scene is None:
                    continue
                name = ""
                if scene.has_valid_code:
                    name = file_name(scene, taken)
                    file.writestr(name, png(scene.url, scene.name, logo_of(scene)))
                    yield target.taken()
                rows.writerow(_row(scene, name))
        # With this mark, spreadsheets read the CSV as UTF-8.
        file.writestr(LIST_NAME, "\ufeff" + table.getvalue())
    yield target.taken()


def file_name(scene: QRScene, taken: set[str], ending: str = ".png") -> str:
    """A name for the picture that every system can store, and that is not in `taken`.

    Adds the name to `taken`. It keeps letters, digits and a few signs; all else, such as slashes
    and emoji, becomes underscores.
    """
    name = _safe(scene.name, _LONGEST_NAME)
    stem = f"{name} {_safe(scene.scene, _LONGEST_SCENE)}".strip()
    candidate = stem
    number = 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{stem} ({number})"
    taken.add(candidate.casefold())
    return candidate + ending


def _safe(text: str, longest: int) -> str:
    kept = "".join(
        character if character in " -_" or unicodedata.category(character)[0] in "LNM" else "_"
        for character in unicodedata.normalize("NFC", text)
    )
    return kept.encode()[:longest].decode(errors="ignore").strip()


def _row(scene: QRScene, name: str) -> list[str]:
    expires = scene.expires_at.isoformat() if scene.expires_at else ""
    cells = [name, scene.name, scene.scene, scene.account.slug, scene.state, expires, scene.url]
    return [harmless(cell) for cell in cells]


class _Pieces(io.RawIOBase):
    """A file for writing that hands out the bytes written since the last call of `taken`."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._written += piece
        return len(piece)

    def taken(self) -> bytes:
        """Everything written since the last call."""
        piece = bytes(self._written)
        self._written.clear()
        return piece
