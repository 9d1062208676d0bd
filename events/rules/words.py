"""Compares a follower's text with the words of a rule.

Both sides are folded (events/rules/folding.py). Patterns are RE2's, which reads a text in one pass
for any pattern. Its memory is limited, so it refuses a pattern that needs more.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable

import re2

from events.rules.data import How, Trigger
from events.rules.folding import folded

__all__ = ["Heard", "NotAPattern", "compiled", "is_match"]

# The most characters of a message to compare. WeChat's own input accepts fewer.
_READ = 2000
_LONGEST_PATTERN = 500
# Bytes that RE2 may use for one pattern. They are enough for hundreds of words, but not for a
# pattern that would take milliseconds for each message.
_MEMORY = 1 << 18


class NotAPattern(ValueError):
    """RE2 refuses the pattern; the text says why."""


class Heard:
    """A message's text, which is folded at the first use."""

    def __init__(self, text: str) -> None:
        self.text = text

    @functools.cached_property
    def folded(self) -> str:
        return folded(self.text[:_READ])

    @functools.cached_property
    def for_patterns(self) -> str:
        return unicodedata.normalize("NFKC", self.text[:_READ]).strip()[:_READ]


@functools.lru_cache(maxsize=2048)
def compiled(pattern: str) -> Callable[[str], object]:
    """Returns the search function of a pattern; it ignores case and width. Raises NotAPattern."""
    if len(pattern) > _LONGEST_PATTERN:
        raise NotAPattern(f"longer than {_LONGEST_PATTERN} characters")
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        search: Callable[[str], object] = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise NotAPattern(text) from error
    except UnicodeEncodeError as error:
        raise NotAPattern("a character that no message has") from error
    return search


def is_match(trigger: Trigger, heard: Heard) -> bool:
    """Whether the trigger's words fit the message. A pattern that RE2 refuses never fits."""
    match trigger.how:
        case How.ANY:
            return True
        case How.EXACT:
            return heard.text in trigger.words
        case How.EQUAL:
            return heard.folded in trigger.folded
        case How.CONTAINS_ANY:
            return any(word in heard.folded for word in trigger.folded)
        case How.CONTAINS_ALL:
            words = trigger.folded
            return bool(words) and all(word in heard.folded for word in words)
        case How.BEGINS:
            return heard.folded.startswith(trigger.folded)
        case How.PATTERN:
            return any(_finds(pattern, heard) for pattern in trigger.words)


def _finds(pattern: str, heard: Heard) -> bool:
    try:
        return compiled(pattern)(heard.for_patterns) is not None
    except (NotAPattern, UnicodeEncodeError):
        return False
