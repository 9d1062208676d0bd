"""A text column that is encrypted at rest.

This site does not use a package for it. The package that was tried returned the ciphertext as value
when the key was wrong; but a wrong key must raise, not sign requests with nonsense.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

__all__ = [
    "EncryptedTextField",
    "WrongEncryptionKey",
    "decrypted",
    "decrypted_within",
    "encrypted",
]


class WrongEncryptionKey(ImproperlyConfigured):
    """A stored secret cannot be decrypted with any of FIELD_ENCRYPTION_KEYS."""


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def _current_cipher() -> MultiFernet:
    return _cipher(tuple(settings.FIELD_ENCRYPTION_KEYS))


def encrypted(text: str) -> str:
    """Encrypts a text with the first of FIELD_ENCRYPTION_KEYS; "" stays ""."""
    return _current_cipher().encrypt(text.encode()).decode("ascii") if text else text


def decrypted(stored: str, *, where: str) -> str:
    """Reverses encrypted(). Raises WrongEncryptionKey, which names `where`, if no key fits."""
    if not stored:
        return stored
    try:
        return _current_cipher().decrypt(stored.encode("ascii")).decode()
    except (InvalidToken, UnicodeError):
        raise WrongEncryptionKey(
            f"{where} was encrypted with a key that is not in FIELD_ENCRYPTION_KEYS. "
            "Put the former key back, after the current one."
        ) from None


def decrypted_within(text: str, seconds: int) -> str | None:
    """Reverses encrypted() for a text of the last `seconds`; None for an older or other text."""
    try:
        return _current_cipher().decrypt(text.encode(), ttl=seconds).decode()
    except (InvalidToken, UnicodeError):
        return None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Stores a string encrypted with the first of FIELD_ENCRYPTION_KEYS; all of them decrypt.

    An empty string stays empty, so that a query can find rows without a secret. Reading raises
    WrongEncryptionKey if no key fits. The column cannot be searched.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypted(value) if value else value

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypted(value, where=f"{self.model._meta.label}.{self.name}") if value else value
