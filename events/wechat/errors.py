"""The errors of reading a push: one class for each thing that a caller can do about them.

Each error carries `code`, the number that WeChat's own sample code uses for the same failure
(消息加解密说明: −40001 to −40011): operators search logs and forums for these numbers.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AppIdMismatch",
    "DecryptionFailed",
    "Downgraded",
    "Forbidden",
    "InvalidKey",
    "InvalidParameters",
    "NotAuthentic",
    "SignatureMismatch",
    "TooOld",
    "Unreadable",
    "WeChatError",
]


class WeChatError(Exception):
    """Base of every error of this package; `code` is WeChat's number for it."""

    code: ClassVar[int]


class NotAuthentic(WeChatError):
    """Nothing proves that the request comes from WeChat for this account: answer 403."""

    code = -40001


class InvalidParameters(NotAuthentic):
    """A query parameter is missing, repeated, over-long, or not of the documented form."""


class SignatureMismatch(NotAuthentic):
    """None of the account's tokens made this signature."""


class Downgraded(NotAuthentic):
    """A plain body although the account's mode requires an encrypted one.

    `signature` does not cover the body, so a stranger who has seen one valid triple of signature,
    timestamp and nonce could otherwise post forged messages to an account in safe mode.
    """


class TooOld(NotAuthentic):
    """The timestamp is older than all of WeChat's tries: somebody may repeat a captured query."""


class DecryptionFailed(NotAuthentic):
    """None of the account's AES keys opens the ciphertext."""

    code = -40007


class AppIdMismatch(NotAuthentic):
    """The message decrypts properly, but is addressed to another AppID than the account's."""

    code = -40005


class Unreadable(WeChatError):
    """An authentic body that is not a message we can read: keep it and acknowledge it."""

    code = -40002


class Forbidden(Unreadable):
    """An authentic body with a DTD, entities or external references: this site reads none of it."""


class InvalidKey(WeChatError):
    """The operator entered a text that is no EncodingAESKey."""

    code = -40004
