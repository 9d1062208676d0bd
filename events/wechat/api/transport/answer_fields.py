"""Reads fields of WeChat's answers, where a field may be absent and a number may be a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .api_errors import BadAnswer

__all__ = ["mapping", "mappings", "number", "numbers", "storable", "text", "texts"]

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")


def storable(value: str) -> str:
    """Removes NUL and lone surrogates, which JSON can carry but databases refuse."""
    return _NOT_STORABLE.sub("", value)


def text(fields: Mapping[str, Any], name: str) -> str:
    """Returns a text, "" if absent, without white space at its ends and as `storable`.

    WeChat's samples show stray blanks around some texts.
    """
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _unexpected(name)
    return storable(str(value)).strip()


def number(fields: Mapping[str, Any], name: str) -> int:
    """A whole number, 0 if absent or empty."""
    return _number(fields.get(name), name)


def mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object, empty if absent."""
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _unexpected(name)
    return value


def mappings(fields: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects, empty if absent."""
    values = _list(fields, name)
    if not all(isinstance(value, dict) for value in values):
        raise _unexpected(name)
    return values


def texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, empty if absent."""
    values = _list(fields, name)
    if not all(isinstance(value, str) for value in values):
        raise _unexpected(name)
    return tuple(values)


def numbers(fields: Mapping[str, Any], name: str) -> tuple[int, ...]:
    """A list of whole numbers, empty if absent."""
    return tuple(_number(value, name) for value in _list(fields, name))


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _unexpected(name)
    return value


def _number(value: Any, name: str) -> int:
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _unexpected(name)
    try:
        return int(value)
    except ValueError:
        raise _unexpected(name) from None


def _unexpected(name: str) -> BadAnswer:
    return BadAnswer("answer", f"{name} is not what it is documented to be")
