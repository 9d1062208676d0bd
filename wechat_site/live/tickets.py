"""Tickets with which a page asks how far a request is, without a session; the answer is a word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.urls import reverse

from subscribers.binding.asking import LIFETIME
from subscribers.binding.standing import Progress, progress_of, words_of_requests
from subscribers.models import BindingRequest, SignInRequest
from subscribers.signing_in.start import progress_of_sign_in, words_of_sign_ins

__all__ = ["name_in", "progress_url", "word_of", "words_of"]

# A request lives as long as its code and then its question.
_VALID_FOR = 2 * LIFETIME
# How many requests one query asks for.
_BATCH = 500


def progress_url(row: BindingRequest | SignInRequest) -> str:
    """The address at which a page asks how far this request is."""
    letter = "b" if isinstance(row, BindingRequest) else "s"
    return reverse("my_wechat_progress", args=[_signer().sign(f"{letter}{row.pk}")])


def name_in(ticket: str) -> str:
    """The request that the ticket names, such as `b17`; "" if it is no ticket, or too old."""
    try:
        return _signer().unsign(ticket, max_age=_VALID_FOR)
    except signing.BadSignature:
        return ""


def word_of(ticket: str) -> Progress | None:
    """How far the ticket's request is, with one query; None if it is no ticket."""
    name = name_in(ticket)
    if not name:
        return None
    return (progress_of if name[0] == "b" else progress_of_sign_in)(int(name[1:]))


def words_of(names: Sequence[str]) -> dict[str, str]:
    """How far these requests are, with two queries for each five hundred."""
    words: dict[str, str] = dict.fromkeys(names, Progress.NONE.value)
    kinds: dict[str, Any] = {
        "b": (BindingRequest, words_of_requests),
        "s": (SignInRequest, words_of_sign_ins),
    }
    for letter, (model, read) in kinds.items():
        numbers = [int(name[1:]) for name in names if name[0] == letter]
        for start in range(0, len(numbers), _BATCH):
            batch = numbers[start : start + _BATCH]
            # Nearly all are ready to be scanned and stay so, so only the others are read in full.
            stored = model.objects.filter(pk__in=batch).values_list("pk", flat=True)
            words |= {f"{letter}{pk}": Progress.READY.value for pk in stored}
            found = read(batch, but_ready=True)
            words |= {f"{letter}{pk}": word.value for pk, word in found.items()}
    return words


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt="my_wechat_progress")
