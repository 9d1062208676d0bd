"""A text column that is encrypted at rest.

Our own few lines rather than a package: the one that was tried returned the ciphertext as the value
when the key was wrong, and a wrong key must stop, not sign requests with nonsense.
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
    """The text, encrypted with the first of FIELD_ENCRYPTION_KEYS; an empty one stays empty."""
    return _current_cipher().encrypt(text.encode()).decode("ascii") if text else text


def decrypted(stored: str, *, where: str) -> str:
    """What encrypted() was given. Raises WrongEncryptionKey, naming `where`, when no key fits."""
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
    """What encrypted() was given at most so long ago; None for anything else."""
    try:
        return _current_cipher().decrypt(text.encode(), ttl=seconds).decode()
    except (InvalidToken, UnicodeError):
        return None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Stores a string encrypted with the first of FIELD_ENCRYPTION_KEYS; all of them decrypt.

    An empty string stays empty, so that "is a secret set?" can be asked of the database. Reading
    raises WrongEncryptionKey when no key fits. The column cannot be searched.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypted(value) if value else value

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        return decrypted(value, where=f"{self.model._meta.label}.{self.name}") if value else value
