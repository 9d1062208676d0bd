"""Parses the bodies of requests to the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from events.wechat.api.transport.answer_fields import storable

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["StrictJSONParser"]


# The most levels of a body. The deepest body that a view accepts has four.
_DEEPEST = 32


class StrictJSONParser(JSONParser):
    """JSON with a limit on nesting. The fields themselves check their texts."""

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
        except ParseError as error:
            raise ParseError(_why(error.__context__)) from None
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


def _why(error: BaseException | None) -> StrOrPromise:
    if isinstance(error, json.JSONDecodeError):
        where = {"line": error.lineno, "column": error.colno}
        return _("The body is not JSON: see line %(line)s, column %(column)s.") % where
    if isinstance(error, UnicodeDecodeError):
        return _("The body is not UTF-8.")
    return _("The body has a number that JSON does not know.")
