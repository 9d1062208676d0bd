"""A whole list as one stream, as NDJSON or CSV: the rows and fields of the list, oldest first.

Rows are read in pages by cursor, so memory is bounded and no query lasts. They pass the list's
own serializer: what a list masks, its export masks.
"""

from __future__ import annotations

import datetime
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from events.audit.record import record
from events.db.keyset import portions
from events.spreadsheets import csv_parts, in_parts

__all__ = ["ExportMixin"]

# Parameters of the pages, which an export has not.
_OF_PAGES = ("cursor", "page_size", "after_id", "ordering")


class _NDJSONRenderer(JSONRenderer):
    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = "utf-8"


class _CSVRenderer(JSONRenderer):
    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"


class ExportMixin:
    """Adds `export/` to a view of a list; `time_columns` as in ReadViewSet."""

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=["ndjson", "csv"], default="ndjson")],
        responses={
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    @action(detail=False, renderer_classes=[_NDJSONRenderer, _CSVRenderer], pagination_class=None)
    def export(self, request: Request) -> StreamingHttpResponse:
        """All rows that the filters leave, oldest first, as one stream: NDJSON, or CSV.

        `Accept-Encoding: gzip` has it compressed. Rows that arrive meanwhile are not in it.
        """
        view: Any = self
        for name in _OF_PAGES:
            if name in request.query_params:
                raise ValidationError({name: [_("An export has no pages.")]})
        rows = view.filter_queryset(view.get_queryset())
        newest = rows.model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
        names = [name for name in view.time_columns if name in request.query_params]
        found = portions(
            rows.filter(pk__lte=newest or 0), view.time_columns[names[0]] if names else None
        )
        record("export", rows.model, details={"filters": sorted(request.query_params)})
        records = (each for rows in found for each in _serialized(view, rows))
        renderer: Any = request.accepted_renderer
        if renderer.format == "csv":
            parts = csv_parts(records, list(view.get_serializer().fields))
        else:
            parts = _ndjson(records)
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        answer = StreamingHttpResponse(
            _gzip(parts) if packed else parts,
            content_type=f"{renderer.media_type}; charset=utf-8",
        )
        answer["Vary"] = "Accept, Accept-Encoding"
        if packed:
            answer["Content-Encoding"] = "gzip"
        return answer


def _serialized(view: Any, rows: list[Any]) -> list[Mapping[str, Any]]:
    """The rows as the list shows them; when they are read, the request's time zone is gone."""
    with timezone.override(datetime.UTC):
        return list(view.get_serializer(rows, many=True).data)


def _ndjson(records: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield from in_parts(
        json.dumps(record, ensure_ascii=False, separators=(",", ":"), cls=JSONEncoder) + "\n"
        for record in records
    )


def _gzip(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=5, wbits=31)
    for part in parts:
        packed = packer.compress(part)
        if packed:
            yield packed
    yield packer.flush()
