"""Folds texts for comparison: ignores width, case, white space and punctuation at the end."""

from __future__ import annotations

import unicodedata

__all__ = ["folded"]

_END = " .。!?,;:~、…·-—"


def folded(text: str) -> str:
    """Returns the text for comparison; a text of only punctuation stays.

    Full-width letters become half-width (NFKC), and white space becomes one space.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return plain.rstrip(_END) or plain
