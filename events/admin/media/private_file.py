"""Answers with a private file. The caller must check first that the user may see it."""

from __future__ import annotations

import mimetypes

from django.http import FileResponse, Http404

from events.models import private_files

__all__ = ["private_file"]


def private_file(name: str, content_type: str = "") -> FileResponse:
    """Returns the file of this name; by default the extension decides its content type.

    Raises Http404 for an empty name, and for a missing file.
    """
    if not name:
        raise Http404
    try:
        content = private_files().open(name)
    except FileNotFoundError:
        raise Http404 from None
    guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FileResponse(content, content_type=content_type or guessed)
