"""The picture of an account, which users see beside its name when they bind their WeChat.

It is kept small, square and without what a camera writes into it. No URL leads to it: the pages
that show it hold it.
"""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from PIL import Image, ImageOps

from events.models import OfficialAccount, private_files

__all__ = ["LARGEST", "NoPicture", "forget_picture", "inline_picture", "prepared", "set_picture"]

# Bytes of an upload.
LARGEST = 2 * 1024 * 1024
# Pixels on each side: twice what pages show, for sharp screens.
_SIDE = 128
# A side of an upload; what is larger costs much memory to read.
_LONGEST_SIDE = 4096


class NoPicture(Exception):
    """The upload is no JPEG, PNG or GIF, or too large."""


def prepared(content: bytes) -> bytes:
    """The middle of an uploaded picture, as a small square JPEG; raises NoPicture."""
    if len(content) > LARGEST:
        raise NoPicture
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "GIF")) as opened:
                if max(opened.size) > _LONGEST_SIDE:
                    raise NoPicture
                drawn = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError):
        raise NoPicture from None
    square = ImageOps.fit(drawn, (_SIDE, _SIDE))
    # JPEG knows no transparency.
    on_white = Image.new("RGBA", square.size, "white")
    on_white.alpha_composite(square)
    jpeg = io.BytesIO()
    on_white.convert("RGB").save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()


def set_picture(account: OfficialAccount, jpeg: bytes) -> None:
    """Gives the account, in memory, this prepared picture or, with b"", none.

    The former file goes when the transaction is committed.
    """
    former, account.picture = account.picture, ""
    if jpeg:
        account.picture = private_files().save("accounts/picture.jpg", ContentFile(jpeg))
    _remove_after_commit(former)


def inline_picture(account: OfficialAccount) -> str:
    """The picture as the address of an image in a page; "" for none."""
    if not account.picture:
        return ""
    try:
        with private_files().open(account.picture) as file:
            content = file.read()
    except FileNotFoundError:
        # A backup may leave out the files.
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def forget_picture(instance: OfficialAccount, **_signal: Any) -> None:
    """Removes the file of an account that was deleted, when the transaction is committed."""
    _remove_after_commit(instance.picture)


def _remove_after_commit(name: str) -> None:
    if name:
        transaction.on_commit(lambda: private_files().delete(name))
