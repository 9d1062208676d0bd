from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.wechat.signature import sign, verify

from . import vectors


@pytest.mark.parametrize(("timestamp", "nonce", "signature"), vectors.OFFICIAL_SIGNATURES)
def test_published_signatures_are_reproduced(timestamp, nonce, signature):
    assert sign(vectors.OFFICIAL_TOKEN, timestamp, nonce) == signature
    assert verify(signature, vectors.OFFICIAL_TOKEN, timestamp, nonce)


@pytest.mark.parametrize(
    ("signature", "token", "timestamp", "nonce", "encrypted"),
    [
        (
            vectors.OFFICIAL_PUSH_MSG_SIGNATURE,
            vectors.OFFICIAL_TOKEN,
            vectors.OFFICIAL_PUSH_TIMESTAMP,
            vectors.OFFICIAL_PUSH_NONCE,
            vectors.OFFICIAL_PUSH_ENCRYPT,
        ),
        (
            vectors.OFFICIAL_REPLY_MSG_SIGNATURE,
            vectors.OFFICIAL_TOKEN,
            vectors.OFFICIAL_REPLY_TIMESTAMP,
            vectors.OFFICIAL_REPLY_NONCE,
            vectors.OFFICIAL_REPLY_ENCRYPT,
        ),
        (
            vectors.PUSH_MSG_SIGNATURE,
            vectors.TOKEN,
            vectors.PUSH_TIMESTAMP,
            vectors.PUSH_NONCE,
            vectors.PUSH_ENCRYPT,
        ),
        (
            vectors.REPLY_MSG_SIGNATURE,
            vectors.TOKEN,
            str(vectors.REPLY_TIMESTAMP),
            vectors.REPLY_NONCE,
            vectors.REPLY_ENCRYPT,
        ),
    ],
)
def test_message_signatures_are_reproduced(signature, token, timestamp, nonce, encrypted):
    assert sign(token, timestamp, nonce, encrypted) == signature


def test_parts_are_sorted_as_strings():
    assert sign("2", "10") == sign("10", "2") == sign("102")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0" * 40,
        vectors.PUSH_SIGNATURE.upper(),
        vectors.PUSH_SIGNATURE[:-1],
        vectors.PUSH_SIGNATURE + "0",
        "签名",
        "\udcff",
    ],
)
def test_anything_but_the_signature_is_refused(signature):
    assert verify(vectors.PUSH_SIGNATURE, vectors.TOKEN, vectors.PUSH_TIMESTAMP, vectors.PUSH_NONCE)
    assert not verify(signature, vectors.TOKEN, vectors.PUSH_TIMESTAMP, vectors.PUSH_NONCE)


def test_an_empty_token_never_verifies():
    assert not verify(sign("", "1767225661", "1"), "", "1767225661", "1")


@given(st.text(min_size=1), st.text(), st.text())
def test_what_was_signed_verifies_with_this_token_only(token, timestamp, nonce):
    signature = sign(token, timestamp, nonce)
    assert verify(signature, token, timestamp, nonce)
    assert not verify(signature, token + "x", timestamp, nonce)
    assert not verify(signature, token, timestamp, nonce + "x")
