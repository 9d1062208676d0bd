"""Encrypts and decrypts WeChat's messages (消息加解密): AES-256-CBC with a header and padding.

The plaintext is 16 random bytes, the length of the message in 4 bytes (big-endian), the message,
the AppID, and PKCS#7 padding to a multiple of 32. The IV is the first half of the key.
"""

from __future__ import annotations

import base64
import functools
import hmac
import re

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .errors import AppIdMismatch, DecryptionFailed, InvalidKey

__all__ = ["decode_aes_key", "decrypt", "encrypt"]

RANDOM_SIZE = 16
HEADER_SIZE = RANDOM_SIZE + 4
CIPHER_BLOCK = 16

# WeChat pads to 32 bytes, not to AES's own 16, so the pad value goes up to 32. The unpadding of AES
# libraries accepts up to 16 and would refuse half of all messages. So this module strips it itself.
PADDING_BLOCK = 32


# How many decoded keys and ciphers to cache: all pushes of an account use the same ones.
_MOST_KEYS = 256


@functools.lru_cache(_MOST_KEYS)
def decode_aes_key(encoding_aes_key: str) -> bytes:
    """Return the 32 bytes of an EncodingAESKey; raise `InvalidKey` if it is not one.

    43 Base64 characters hold 258 bits. WeChat's generator leaves the two extra bits random. This
    function ignores them; a strict decoder would refuse three keys in four.
    """
    if not re.fullmatch(r"[A-Za-z0-9]{43}", encoding_aes_key):
        raise InvalidKey("EncodingAESKey must be 43 characters from A-Z, a-z and 0-9")
    return base64.b64decode(encoding_aes_key + "=")


def encrypt(message: bytes, *, key: bytes, app_id: str, random: bytes) -> str:
    """Return `message` encrypted for `app_id`, as Base64.

    `key` comes from `decode_aes_key`. `random` is 16 bytes, new and unpredictable for each message:
    the IV is fixed, so only these bytes make two equal messages look different. Raises ValueError
    if `random` has another length.
    """
    if len(random) != RANDOM_SIZE:
        raise ValueError(f"random must be {RANDOM_SIZE} bytes, not {len(random)}")
    plain = random + len(message).to_bytes(4, "big") + message + app_id.encode()
    pad = PADDING_BLOCK - len(plain) % PADDING_BLOCK
    encryptor = _cipher(key).encryptor()
    ciphertext = encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()
    return base64.b64encode(ciphertext).decode()


def decrypt(ciphertext: str, *, key: bytes, app_id: str) -> bytes:
    """Return the message inside Base64 `ciphertext`.

    Raises `DecryptionFailed` if it is no ciphertext or the key is wrong, and `AppIdMismatch` if the
    message is for another account. A wrong key nearly always raises the first error, but can raise
    the second. Verify `msg_signature` first: the cipher alone authenticates nothing.
    """
    try:
        encrypted = base64.b64decode(ciphertext, validate=True)
    except ValueError as error:
        raise DecryptionFailed("the ciphertext is not Base64") from error
    if not encrypted or len(encrypted) % CIPHER_BLOCK:
        raise DecryptionFailed("the ciphertext is not a whole number of AES blocks")
    decryptor = _cipher(key).decryptor()
    plain = _strip_padding(decryptor.update(encrypted) + decryptor.finalize())
    if len(plain) < HEADER_SIZE:
        raise DecryptionFailed("the decrypted text is shorter than its header")
    end = HEADER_SIZE + int.from_bytes(plain[RANDOM_SIZE:HEADER_SIZE], "big")
    if end > len(plain):
        raise DecryptionFailed("the message length points past the end")
    if not hmac.compare_digest(plain[end:], app_id.encode()):
        raise AppIdMismatch("the message was encrypted for another AppID")
    return plain[HEADER_SIZE:end]


@functools.lru_cache(_MOST_KEYS)
def _cipher(key: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(key), modes.CBC(key[:CIPHER_BLOCK]))


def _strip_padding(padded: bytes) -> bytes:
    pad = padded[-1]
    if not 1 <= pad <= PADDING_BLOCK or not padded.endswith(bytes([pad]) * pad):
        raise DecryptionFailed("the padding is wrong")
    return padded[:-pad]
