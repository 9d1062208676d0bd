from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import PrpCrypto

from events.wechat.crypto import decode_aes_key, decrypt, encrypt
from events.wechat.errors import AppIdMismatch, DecryptionFailed, InvalidKey

from . import vectors

KEY = decode_aes_key(vectors.AES_KEY)
OTHER_KEY = decode_aes_key("B" * 43)
RANDOM = b"0123456789abcdef"

VECTORS = [
    (
        vectors.OFFICIAL_APP_ID,
        vectors.OFFICIAL_AES_KEY,
        vectors.OFFICIAL_PUSH_RANDOM,
        vectors.OFFICIAL_PUSH_MESSAGE,
        vectors.OFFICIAL_PUSH_ENCRYPT,
    ),
    (
        vectors.OFFICIAL_APP_ID,
        vectors.OFFICIAL_AES_KEY,
        vectors.OFFICIAL_REPLY_RANDOM,
        vectors.OFFICIAL_REPLY_MESSAGE,
        vectors.OFFICIAL_REPLY_ENCRYPT,
    ),
    (
        vectors.APP_ID,
        vectors.AES_KEY,
        vectors.PUSH_RANDOM,
        vectors.PUSH_MESSAGE,
        vectors.PUSH_ENCRYPT,
    ),
]


@pytest.mark.parametrize(("app_id", "aes_key", "random", "message", "encrypted"), VECTORS)
def test_vectors_decrypt_and_encrypt_byte_for_byte(app_id, aes_key, random, message, encrypted):
    key = decode_aes_key(aes_key)
    assert decrypt(encrypted, key=key, app_id=app_id) == message
    assert encrypt(message, key=key, app_id=app_id, random=random) == encrypted


@given(st.binary(max_size=300), st.binary(min_size=16, max_size=16), st.text("wx0123456789abcdef"))
def test_round_trip(message, random, app_id):
    encrypted = encrypt(message, key=KEY, app_id=app_id, random=random)
    assert len(base64.b64decode(encrypted)) % 32 == 0
    assert decrypt(encrypted, key=KEY, app_id=app_id) == message


@pytest.mark.parametrize("length", range(33))
def test_every_pad_length_round_trips_with_wechatpy(length):
    message = "x" * length
    theirs = PrpCrypto(KEY)
    assert (
        decrypt(theirs.encrypt(message, vectors.APP_ID).decode(), key=KEY, app_id=vectors.APP_ID)
        == message.encode()
    )
    ours = encrypt(message.encode(), key=KEY, app_id=vectors.APP_ID, random=RANDOM)
    assert theirs.decrypt(ours, vectors.APP_ID) == message


@pytest.mark.parametrize("last", ["A", "B", "C", "D"])
def test_surplus_bits_of_the_aes_key_are_ignored(last):
    assert decode_aes_key("A" * 42 + last) == bytes(32)


@pytest.mark.parametrize(
    "aes_key",
    ["", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "A" * 43 + "\n", "Ａ" * 43],
)
def test_a_malformed_aes_key_is_refused(aes_key):
    with pytest.raises(InvalidKey):
        decode_aes_key(aes_key)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_random_has_sixteen_bytes(size):
    with pytest.raises(ValueError, match="16 bytes"):
        encrypt(b"", key=KEY, app_id=vectors.APP_ID, random=bytes(size))


def raw_encrypt(plain: bytes) -> str:
    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(KEY[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def padded(plain: bytes) -> bytes:
    pad = 32 - len(plain) % 32
    return plain + bytes([pad]) * pad


# 16 + 4 + 8 + 18 bytes, padded with 18 of value 18.
VALID = padded(RANDOM + (8).to_bytes(4, "big") + b"<xml/>\n\n" + vectors.APP_ID.encode())


@pytest.mark.parametrize(
    ("ciphertext", "reason"),
    [
        ("", "blocks"),
        ("not base64!", "Base64"),
        ("密文", "Base64"),
        ("!" + raw_encrypt(VALID), "Base64"),
        (raw_encrypt(VALID)[:-1], "Base64"),
        (raw_encrypt(VALID).replace("+", "-").replace("/", "_") + "-", "Base64"),
        (base64.b64encode(b"fifteen bytes!!").decode(), "blocks"),
        (raw_encrypt(VALID[:-1] + b"\x00"), "padding"),
        (raw_encrypt(VALID[:-1] + b"\x21"), "padding"),
        (raw_encrypt(VALID[:-2] + b"\x13\x12"), "padding"),
        (raw_encrypt(b"\x20" * 16), "padding"),
        (raw_encrypt(b"\x10" * 16), "header"),
        (raw_encrypt(padded(RANDOM + b"\x00\x00\x00")), "header"),
        (raw_encrypt(VALID[:16] + (27).to_bytes(4, "big") + VALID[20:]), "length"),
        (raw_encrypt(VALID[:16] + b"\xff\xff\xff\xff" + VALID[20:]), "length"),
    ],
)
def test_what_does_not_decrypt(ciphertext, reason):
    assert decrypt(raw_encrypt(VALID), key=KEY, app_id=vectors.APP_ID) == b"<xml/>\n\n"
    with pytest.raises(DecryptionFailed, match=reason):
        decrypt(ciphertext, key=KEY, app_id=vectors.APP_ID)


def test_a_wrong_key_does_not_decrypt():
    with pytest.raises(DecryptionFailed):
        decrypt(raw_encrypt(VALID), key=OTHER_KEY, app_id=vectors.APP_ID)


@pytest.mark.parametrize(
    "app_id", ["", vectors.OFFICIAL_APP_ID, vectors.APP_ID[:-1], vectors.APP_ID + "0"]
)
def test_a_message_for_another_app_id_is_refused(app_id):
    with pytest.raises(AppIdMismatch):
        decrypt(raw_encrypt(VALID), key=KEY, app_id=app_id)
