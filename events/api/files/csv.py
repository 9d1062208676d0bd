"""Writes rows as CSV, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

from events.spreadsheets import harmless

__all__ = ["CSVRenderer", "csv_text"]


class CSVRenderer(BaseRenderer):
    """Writes the `results` of an answer, with the names of the fields in the first line."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        fields = (renderer_context or {})["view"].fields
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(fields)
        writer.writerows([csv_text(row[name]) for name in fields] for row in data["results"])
        return text.getvalue().encode()


def csv_text(value: Any) -> str:
    """Returns a value as the text of a CSV cell."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return harmless(value)
        case _:
            return str(value)
