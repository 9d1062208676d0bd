"""The picture of an account, which users see beside its name when they bind their WeChat.

The site keeps it small, square and without a camera's metadata. It has no URL: pages contain the
picture itself.
"""

from __future__ import annotations

import base64
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from PIL import ImageOps

from events.media.uploaded_picture import as_jpeg, read_picture
from events.models import OfficialAccount, private_files

__all__ = ["forget_picture", "inline_picture", "prepared", "set_picture"]

# Pixels on each side: twice what pages show, for sharp screens.
_SIDE = 128


def prepared(content: bytes) -> bytes:
    """Cuts the middle of an uploaded picture into a small square JPEG; raises NoPicture."""
    return as_jpeg(ImageOps.fit(read_picture(content), (_SIDE, _SIDE)))


def set_picture(account: OfficialAccount, jpeg: bytes) -> None:
    """Gives the account in memory this prepared picture; b"" removes the picture.

    The former file is removed after the commit.
    """
    former, account.picture = account.picture, ""
    if jpeg:
        account.picture = private_files().save("accounts/picture.jpg", ContentFile(jpeg))
    _remove_after_commit(former)


def inline_picture(account: OfficialAccount) -> str:
    """Returns the picture as a data: URL for a page; "" for none."""
    if not account.picture:
        return ""
    try:
        with private_files().open(account.picture) as file:
            content = file.read()
    except FileNotFoundError:
        # A restored backup may have no files.
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def forget_picture(instance: OfficialAccount, **_signal: Any) -> None:
    """Removes the picture's file after the commit that deletes its account."""
    _remove_after_commit(instance.picture)


def _remove_after_commit(name: str) -> None:
    if name:
        transaction.on_commit(lambda: private_files().delete(name))
