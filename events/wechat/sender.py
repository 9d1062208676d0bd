"""WeChat's side of the exchange, for the simulator and for tests.

It makes pushes as WeChat makes them, and opens the answers as WeChat does.
"""

from __future__ import annotations

from . import crypto, xml
from .envelope import Credentials, SecurityMode, decrypt_signed
from .errors import NotAuthentic, Unreadable
from .signature import sign

__all__ = ["open_reply", "seal_push"]


def seal_push(
    message_xml: bytes,
    *,
    credentials: Credentials,
    mode: SecurityMode,
    timestamp: int,
    nonce: str,
    random: bytes,
    openid: str = "",
) -> tuple[dict[str, str], bytes]:
    """Return the query parameters and the body with which WeChat pushes `message_xml` in `mode`.

    Signs and encrypts with the current (first) token and AES key. It ignores `credentials.mode`, so
    that a test can make a push in the wrong mode. `timestamp` is in Unix seconds, `random` is 16
    bytes. `openid` goes into the query unless it is empty. Raises ValueError in compatible mode if
    `message_xml` has no `</xml>`, before which the ciphertext goes.
    """
    token = credentials.tokens[0]
    query = {
        "signature": sign(token, str(timestamp), nonce),
        "timestamp": str(timestamp),
        "nonce": nonce,
    }
    if openid:
        query["openid"] = openid
    if mode is SecurityMode.PLAINTEXT:
        return query, message_xml

    key = crypto.decode_aes_key(credentials.aes_keys[0])
    encrypted = crypto.encrypt(message_xml, key=key, app_id=credentials.app_id, random=random)
    query["encrypt_type"] = "aes"
    query["msg_signature"] = sign(token, str(timestamp), nonce, encrypted)
    encrypt = xml.element("Encrypt", encrypted).encode()
    if mode is SecurityMode.COMPATIBLE:
        plain, end, rest = message_xml.rpartition(b"</xml>")
        if not end:
            raise ValueError("message_xml has no </xml>")
        return query, plain + encrypt + end + rest
    to_user_name = xml.element("ToUserName", _to_user_name(message_xml)).encode()
    return query, b"<xml>" + to_user_name + encrypt + b"</xml>"


def open_reply(body: bytes, *, credentials: Credentials) -> bytes:
    """Return the reply XML inside a sealed answer.

    It accepts any token and AES key of `credentials`; pass only one to require that one. Raises
    `NotAuthentic` if WeChat would count the answer as illegal.
    """
    try:
        fields = xml.parse(body)
    except Unreadable as error:
        raise NotAuthentic(f"not a sealed reply: {error}") from error
    parts = [fields.get(name) for name in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) != len(parts):
        raise NotAuthentic("not a sealed reply: an element is missing or repeated")
    encrypted, msg_signature, timestamp, nonce = texts
    message, _key = decrypt_signed(
        encrypted,
        msg_signature=msg_signature,
        timestamp=timestamp,
        nonce=nonce,
        app_id=credentials.app_id,
        tokens=credentials.tokens,
        aes_keys=credentials.aes_keys,
    )
    return message


def _to_user_name(message_xml: bytes) -> str:
    # The simulator also sends broken messages, but in a correct envelope.
    try:
        to_user_name = xml.parse(message_xml).get("ToUserName")
    except Unreadable:
        return ""
    return to_user_name if isinstance(to_user_name, str) else ""
