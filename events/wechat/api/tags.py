"""Tags that operators put on followers (用户标签管理)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .transport.answer_fields import mapping, mappings, number, text
from .transport.calls import Calls

__all__ = ["LONGEST_TAG", "TAGGED_AT_ONCE", "Tag", "Tags"]

# The longest name in characters, and the most OpenIDs in one call.
LONGEST_TAG = 30
TAGGED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag; ids 0, 1 and 2 are built in. `count` is how many followers have it."""

    id: int
    name: str
    count: int = 0


class Tags:
    """Makes and lists tags, and puts them on followers."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create(self, name: str) -> Tag:
        """Makes a tag; its name has 1 to 30 characters, else ValueError. At most 100 exist."""
        answer = mapping(
            self._calls.post("/cgi-bin/tags/create", {"tag": {"name": _name(name)}}), "tag"
        )
        return Tag(number(answer, "id"), text(answer, "name"))

    def all(self) -> tuple[Tag, ...]:
        """Returns all tags of the account."""
        return tuple(
            Tag(number(tag, "id"), text(tag, "name"), number(tag, "count"))
            for tag in mappings(self._calls.get("/cgi-bin/tags/get"), "tags")
        )

    def add(self, tag_id: int, openids: Sequence[str]) -> None:
        """Puts a tag on up to 50 followers, else ValueError."""
        self._members("/cgi-bin/tags/members/batchtagging", tag_id, openids)

    def remove(self, tag_id: int, openids: Sequence[str]) -> None:
        """Takes a tag off up to 50 followers, else ValueError."""
        self._members("/cgi-bin/tags/members/batchuntagging", tag_id, openids)

    def _members(self, path: str, tag_id: int, openids: Sequence[str]) -> None:
        if not 1 <= len(openids) <= TAGGED_AT_ONCE:
            raise ValueError(f"1 to {TAGGED_AT_ONCE} OpenIDs in one call")
        self._calls.post(path, {"openid_list": list(openids), "tagid": tag_id})


def _name(name: str) -> str:
    if not 1 <= len(name) <= LONGEST_TAG:
        raise ValueError(f"a tag's name must have 1 to {LONGEST_TAG} characters")
    return name
