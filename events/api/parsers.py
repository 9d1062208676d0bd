"""Bodies of requests to the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from events.wechat.api.fields import storable

__all__ = ["StrictJSONParser"]


# The deepest body that a view takes has four levels.
_DEEPEST = 32


class StrictJSONParser(JSONParser):
    """JSON that is not nested without end. What a text may hold is for the fields to say."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        too_deep = ParseError(_("The JSON is nested too deeply."))
        try:
            data = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise too_deep from None
        waiting: list[tuple[object, int]] = [(data, 0)]
        while waiting:
            value, depth = waiting.pop()
            if depth > _DEEPEST:
                raise too_deep
            if isinstance(value, dict):
                if not all(name == storable(name) for name in value):
                    raise ParseError(_("A name in the JSON has characters that nobody uses."))
                waiting += [(part, depth + 1) for part in value.values()]
            elif isinstance(value, list):
                waiting += [(part, depth + 1) for part in value]
        return data
