"""Folds texts for comparison: width, case, white space and punctuation at the end do not count."""

from __future__ import annotations

import unicodedata

__all__ = ["folded"]

_END = " .。!?,;:~、…·-—"


def folded(text: str) -> str:
    """The text as it is compared; one of punctuation alone keeps it.

    Full-width letters become half-width (NFKC), and white space one space.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return plain.rstrip(_END) or plain
