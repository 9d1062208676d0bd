"""The envelope around a message: signatures, encryption modes, and keys that are being changed.

WeChat signs every request with `signature`, which covers Token, timestamp and nonce but not the
body. In compatible and safe mode the body has an `Encrypt` element, covered by `msg_signature`.
The account's configured mode decides what it accepts, never the request: otherwise anybody who has
seen one `signature` could post plain forgeries to an account in safe mode.

Credentials hold several tokens and AES keys, because for a while after a change requests with the
previous ones still arrive. The answer is sealed with the token and key that opened the request.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from . import crypto, xml
from .errors import (
    AppIdMismatch,
    DecryptionFailed,
    Downgraded,
    Forbidden,
    InvalidParameters,
    NotAuthentic,
    SignatureMismatch,
    Unreadable,
)
from .signature import sign, verify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Credentials",
    "Opened",
    "Parameters",
    "SealingKey",
    "SecurityMode",
    "authenticate",
    "check_parameters",
    "decrypt_signed",
    "open_authentic",
    "open_push",
    "parse_query",
    "seal",
    "verify_url",
]

_SIGNATURE = re.compile(r"[0-9a-fA-F]{40}")
_TIMESTAMP = re.compile(r"[0-9]{1,20}")
_NONCE = re.compile(r".{1,128}", re.DOTALL)

# WeChat sends six at the most.
_MAX_PARAMETERS = 100

# WeChat's echostr is a number of about 19 digits. This limit refuses only very long texts.
_ECHOSTR = re.compile(r".{1,1024}", re.DOTALL)


_ENCRYPT = re.compile(
    rb"<Encrypt>\s*+(?:<!\[CDATA\[)?\s*+([A-Za-z0-9+/=]++)\s*+(?:\]\]>)?\s*+</Encrypt>"
)


class SecurityMode(enum.StrEnum):
    """How the account's pushes are configured in WeChat's console (消息加解密方式)."""

    PLAINTEXT = "plaintext"
    COMPATIBLE = "compatible"
    SAFE = "safe"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The secrets that prove that a request is for this account: current ones first, then previous.

    `tokens` and `aes_keys` (EncodingAESKey, as entered in WeChat's console) are accepted now. The
    caller decides how long a previous one is accepted.
    """

    app_id: str
    mode: SecurityMode
    tokens: tuple[str, ...] = field(repr=False)
    aes_keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The token and EncodingAESKey that opened a request, and seal its answer."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query parameters of a push, each present once and of the documented form.

    `msg_signature` is None if the body is not encrypted (`encrypt_type` absent or `raw`). `tokens`
    are the account's tokens that made `signature`; empty until the signature is verified.
    """

    signature: str
    timestamp: str
    nonce: str
    msg_signature: str | None
    tokens: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic push: the message body, decrypted if it was encrypted.

    `timestamp` is the time of the push in Unix seconds by WeChat's clock. It is signed, but this
    module does not compare it with our clock. `key` is None for a plain body, which gets a plain
    answer.
    """

    body: bytes = field(repr=False)
    timestamp: int
    key: SealingKey | None


def parse_query(query_string: str) -> dict[str, list[str]]:
    """Return the parameters of a query string, each with all its values, blank ones too.

    Raises `InvalidParameters` if it has far more parameters than WeChat sends.
    """
    if "%" not in query_string and "+" not in query_string:
        return _split_query(query_string)
    try:
        return parse_qs(query_string, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise InvalidParameters("too many parameters") from error


def _split_query(query_string: str) -> dict[str, list[str]]:
    """Does the same as parse_qs for a query without escapes; WeChat's queries rarely have any."""
    parts = query_string.split("&")
    if len(parts) > _MAX_PARAMETERS:
        raise InvalidParameters("too many parameters")
    values: dict[str, list[str]] = {}
    for part in parts:
        if part:
            name, _, value = part.partition("=")
            values.setdefault(name, []).append(value)
    return values


def verify_url(credentials: Credentials, query: Mapping[str, Sequence[str]]) -> str:
    """Return the `echostr` to answer to WeChat's GET request; raise `NotAuthentic` otherwise.

    `echostr` is plain in every mode (接入概述). Answer with it as `text/plain`, byte for byte.
    """
    signature = _single(query, "signature", _SIGNATURE)
    timestamp = _single(query, "timestamp", _TIMESTAMP)
    nonce = _single(query, "nonce", _NONCE)
    echostr = _single(query, "echostr", _ECHOSTR)
    _tokens_behind(credentials.tokens, signature, timestamp, nonce)
    return echostr


def check_parameters(credentials: Credentials, query: Mapping[str, Sequence[str]]) -> Parameters:
    """Return the parameters of a push, without verifying the signatures in them.

    Raises `InvalidParameters` for a missing, repeated or malformed one, and `Downgraded` for a
    plain request to an account that is configured for encryption.
    """
    signature = _single(query, "signature", _SIGNATURE)
    timestamp = _single(query, "timestamp", _TIMESTAMP)
    nonce = _single(query, "nonce", _NONCE)
    match list(query.get("encrypt_type", ())):
        case ["aes"]:
            msg_signature = _single(query, "msg_signature", _SIGNATURE)
            return Parameters(signature, timestamp, nonce, msg_signature)
        case [] | ["raw"]:
            if credentials.mode is not SecurityMode.PLAINTEXT:
                raise Downgraded(f"a plain body for an account in {credentials.mode} mode")
            return Parameters(signature, timestamp, nonce, None)
        case _:
            raise InvalidParameters("encrypt_type is repeated or unknown")


def authenticate(credentials: Credentials, query: Mapping[str, Sequence[str]]) -> Parameters:
    """Return the parameters of a push whose `signature` is right; raise `NotAuthentic` otherwise.

    Needs no body, so that a stranger's request can be refused before its body is read.
    """
    sent = check_parameters(credentials, query)
    tokens = _tokens_behind(credentials.tokens, sent.signature, sent.timestamp, sent.nonce)
    return Parameters(sent.signature, sent.timestamp, sent.nonce, sent.msg_signature, tokens)


def open_push(credentials: Credentials, query: Mapping[str, Sequence[str]], body: bytes) -> Opened:
    """Return what WeChat pushed: `authenticate` and `open_authentic` in one."""
    return open_authentic(credentials, authenticate(credentials, query), body)


def open_authentic(credentials: Credentials, parameters: Parameters, body: bytes) -> Opened:
    """Return what WeChat pushed with the `parameters` that `authenticate` returned.

    For an encrypted body it returns only the decrypted content, because no signature covers the
    plain fields that compatible mode sends beside it. An account in plaintext mode opens encrypted
    pushes too if it has an AES key: an operator switched WeChat's console first, and the push is
    better protected than the account requires. Without a key the account gets the outer body as it
    came.

    Raises `NotAuthentic` (the subclass says why), and `InvalidKey` if a needed AES key is
    malformed, which is an operator's mistake.
    """
    timestamp = int(parameters.timestamp)
    cannot_decrypt = credentials.mode is SecurityMode.PLAINTEXT and not credentials.aes_keys
    if parameters.msg_signature is None or cannot_decrypt:
        return Opened(body, timestamp, key=None)
    ciphertexts = _ciphertexts(body, credentials.mode)
    message, key = decrypt_signed(
        ciphertexts[0]
        if len(ciphertexts) == 1
        else _signed(ciphertexts, parameters.tokens, parameters),
        msg_signature=parameters.msg_signature,
        timestamp=parameters.timestamp,
        nonce=parameters.nonce,
        app_id=credentials.app_id,
        tokens=parameters.tokens,
        aes_keys=credentials.aes_keys,
    )
    return Opened(message, timestamp, key)


def seal(
    reply_xml: str, key: SealingKey, *, app_id: str, timestamp: int, nonce: str, random: bytes
) -> str:
    """Return the encrypted form of a reply.

    `timestamp` is now, in Unix seconds; `nonce` is any new string; `random` is 16 new bytes.
    `ACKNOWLEDGEMENT` is not sealed. Raises ValueError if `random` has another length.
    """
    encrypted = crypto.encrypt(
        reply_xml.encode(), key=crypto.decode_aes_key(key.aes_key), app_id=app_id, random=random
    )
    return (
        "<xml>"
        + xml.element("Encrypt", encrypted)
        + xml.element("MsgSignature", sign(key.token, str(timestamp), nonce, encrypted))
        + xml.element("TimeStamp", timestamp)
        + xml.element("Nonce", nonce)
        + "</xml>"
    )


def decrypt_signed(
    encrypted: str,
    *,
    msg_signature: str,
    timestamp: str,
    nonce: str,
    app_id: str,
    tokens: Sequence[str],
    aes_keys: Sequence[str],
) -> tuple[bytes, SealingKey]:
    """Return the message in Base64 `encrypted`, and the token and key that it was made with.

    Raises `SignatureMismatch`, or what `crypto.decrypt` raises if no key opens it.
    """
    token = _tokens_behind(tokens, msg_signature, timestamp, nonce, encrypted)[0]
    failure: NotAuthentic = DecryptionFailed("the account has no AES key")
    # The signature depends on the token alone, so only trying shows which key WeChat used. After
    # bad padding, an absurd length or another AppID try the next key.
    for aes_key in aes_keys:
        key = crypto.decode_aes_key(aes_key)
        try:
            message = crypto.decrypt(encrypted, key=key, app_id=app_id)
        except (DecryptionFailed, AppIdMismatch) as error:
            # Prefer AppIdMismatch: it usually means a right key with a wrong AppID.
            failure = failure if isinstance(failure, AppIdMismatch) else error
        else:
            return message, SealingKey(token, aes_key)
    raise failure


def _single(query: Mapping[str, Sequence[str]], name: str, form: re.Pattern[str]) -> str:
    values = query.get(name, ())
    if len(values) != 1:
        raise InvalidParameters(f"{name} must be given once, not {len(values)} times")
    if not form.fullmatch(values[0]):
        raise InvalidParameters(f"{name} is malformed")
    return values[0]


def _tokens_behind(tokens: Sequence[str], signature: str, *parts: str) -> tuple[str, ...]:
    """Return those of `tokens` that made `signature`, at least one."""
    found = tuple(token for token in tokens if verify(signature, token, *parts))
    if not found:
        raise SignatureMismatch("no token of the account made this signature")
    return found


def _ciphertexts(body: bytes, mode: SecurityMode) -> list[str]:
    """Return the possible ciphertexts; several only if a follower typed `Encrypt` into a text.

    Compatible mode sends the fields of the message beside the ciphertext. If one of them is broken,
    the push must not be lost, so a regular expression finds the ciphertext.
    """
    failure = "Encrypt is missing or repeated"
    try:
        encrypted = xml.parse(body).get("Encrypt")
        if isinstance(encrypted, str) and encrypted:
            return [encrypted]
    except Unreadable as error:
        failure = str(error)
        if isinstance(error, Forbidden):
            mode = SecurityMode.SAFE
    found = [] if mode is SecurityMode.SAFE else _ENCRYPT.findall(body)
    if not found:
        raise NotAuthentic(f"no ciphertext to verify: {failure}")
    return [ciphertext.decode() for ciphertext in found]


def _signed(ciphertexts: Sequence[str], tokens: Sequence[str], parameters: Parameters) -> str:
    """Return the ciphertext that `msg_signature` covers."""
    assert parameters.msg_signature is not None
    for encrypted in ciphertexts:
        parts = (parameters.timestamp, parameters.nonce, encrypted)
        if any(verify(parameters.msg_signature, token, *parts) for token in tokens):
            return encrypted
    raise SignatureMismatch("no token of the account made this signature")
