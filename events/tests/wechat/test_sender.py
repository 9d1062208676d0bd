from __future__ import annotations

import pytest

from events.wechat.envelope import Credentials, SealingKey, SecurityMode, seal
from events.wechat.errors import DecryptionFailed, NotAuthentic, SignatureMismatch
from events.wechat.sender import open_reply, seal_push
from events.wechat.xml import parse

from . import vectors

ACCOUNT = Credentials(
    app_id=vectors.APP_ID,
    mode=SecurityMode.SAFE,
    tokens=(vectors.TOKEN,),
    aes_keys=(vectors.AES_KEY,),
)
PLAIN_QUERY = {
    "signature": vectors.PUSH_SIGNATURE,
    "timestamp": vectors.PUSH_TIMESTAMP,
    "nonce": vectors.PUSH_NONCE,
}
ENCRYPTED_QUERY = PLAIN_QUERY | {
    "encrypt_type": "aes",
    "msg_signature": vectors.PUSH_MSG_SIGNATURE,
}
SEALED = seal(
    "<xml/>",
    SealingKey(vectors.TOKEN, vectors.AES_KEY),
    app_id=vectors.APP_ID,
    timestamp=1,
    nonce="2",
    random=bytes(16),
).encode()


def pushed(mode: SecurityMode, message: bytes = vectors.PUSH_MESSAGE, openid: str = ""):
    return seal_push(
        message,
        credentials=ACCOUNT,
        mode=mode,
        timestamp=int(vectors.PUSH_TIMESTAMP),
        nonce=vectors.PUSH_NONCE,
        random=vectors.PUSH_RANDOM,
        openid=openid,
    )


def test_a_plaintext_push():
    assert pushed(SecurityMode.PLAINTEXT) == (PLAIN_QUERY, vectors.PUSH_MESSAGE)


def test_a_safe_push_has_the_account_and_the_ciphertext_only():
    query, body = pushed(SecurityMode.SAFE)
    assert query == ENCRYPTED_QUERY
    assert parse(body) == {"ToUserName": vectors.ORIGINAL_ID, "Encrypt": vectors.PUSH_ENCRYPT}


def test_a_compatible_push_has_everything():
    query, body = pushed(SecurityMode.COMPATIBLE)
    assert query == ENCRYPTED_QUERY
    assert parse(body) == parse(vectors.PUSH_MESSAGE) | {"Encrypt": vectors.PUSH_ENCRYPT}


@pytest.mark.parametrize("mode", SecurityMode)
def test_the_openid_is_in_the_query_if_given(mode):
    query, body = pushed(mode, openid=vectors.FOLLOWER)
    assert query == pushed(mode)[0] | {"openid": vectors.FOLLOWER}
    assert body == pushed(mode)[1]


@pytest.mark.parametrize(
    "message", [b"\xff", b"<xml/>", b"<xml><ToUserName><a/></ToUserName></xml>"]
)
def test_a_broken_message_still_gets_its_safe_envelope(message):
    assert parse(pushed(SecurityMode.SAFE, message)[1])["ToUserName"] == ""


def test_a_compatible_push_needs_an_end():
    with pytest.raises(ValueError, match="</xml>"):
        pushed(SecurityMode.COMPATIBLE, b"<xml/>")


def test_a_sealed_reply_opens():
    assert open_reply(SEALED, credentials=ACCOUNT) == b"<xml/>"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"success", NotAuthentic),
        (SEALED.replace(b"Nonce", b"nonce"), NotAuthentic),
        (SEALED.replace(b"</xml>", b"<Nonce>2</Nonce></xml>"), NotAuthentic),
        (SEALED.replace(b">1<", b">2<"), SignatureMismatch),
    ],
)
def test_an_illegal_reply_is_refused(body, error):
    assert body != SEALED
    with pytest.raises(NotAuthentic) as caught:
        open_reply(body, credentials=ACCOUNT)
    assert type(caught.value) is error


def test_a_reply_sealed_with_another_key_is_refused():
    other = Credentials(vectors.APP_ID, SecurityMode.SAFE, (vectors.TOKEN,), ("B" * 43,))
    with pytest.raises(DecryptionFailed):
        open_reply(SEALED, credentials=other)
