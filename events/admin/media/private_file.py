"""Answers with a file that no URL leads to; the caller has asked whether the user may see it."""

from __future__ import annotations

import mimetypes

from django.http import FileResponse, Http404

from events.models import private_files

__all__ = ["private_file"]


def private_file(name: str, content_type: str = "") -> FileResponse:
    """The file of this name, with the type that its extension says unless one is given.

    Http404 for no name, and for a file that is gone.
    """
    if not name:
        raise Http404
    try:
        content = private_files().open(name)
    except FileNotFoundError:
        raise Http404 from None
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FileResponse(content, content_type=content_type or guessed)
