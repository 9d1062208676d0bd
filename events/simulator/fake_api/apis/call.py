"""The types of a call to the fake API, and of an API's entry in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount

__all__ = ["FILE", "OK", "Api", "ApiCall", "Fields", "object_in"]

Fields: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call that passed the checks of token and quota; `now` is in Unix seconds."""

    query: Mapping[str, str]
    body: Fields
    now: float
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Api:
    """An API's entry. With `needs_certification`, an uncertified account gets 48001."""

    method: str
    answer: Callable[[FakeAccount, ApiCall], Fields]
    needs_certification: bool = False
    takes_file: bool = False


# An answer with this field goes out as a file.
FILE = "file"
OK: Fields = {"errcode": 0, "errmsg": "ok"}


def object_in(fields: Fields, name: str) -> Fields:
    """Returns an object in a body; raises `Refusal` if it is not an object."""
    value = fields.get(name)
    if not isinstance(value, dict):
        raise Refusal(47001)
    return value
