from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto

from events.wechat import crypto
from events.wechat.envelope import (
    Credentials,
    SealingKey,
    SecurityMode,
    authenticate,
    check_parameters,
    open_push,
    parse_query,
    seal,
    verify_url,
)
from events.wechat.errors import (
    AppIdMismatch,
    DecryptionFailed,
    Downgraded,
    InvalidKey,
    InvalidParameters,
    NotAuthentic,
    SignatureMismatch,
    WeChatError,
)
from events.wechat.message import parse_message
from events.wechat.replies import TextReply, render
from events.wechat.sender import open_reply, seal_push
from events.wechat.signature import sign

from . import vectors

PLAINTEXT, COMPATIBLE, SAFE = SecurityMode
OTHER_TOKEN = "PreviousToken"
OTHER_AES_KEY = "B" * 43
KEY = SealingKey(vectors.TOKEN, vectors.AES_KEY)
RANDOM = b"0123456789abcdef"


def account(mode: SecurityMode = SAFE, **changes) -> Credentials:
    credentials = Credentials(
        app_id=vectors.APP_ID, mode=mode, tokens=(vectors.TOKEN,), aes_keys=(vectors.AES_KEY,)
    )
    return replace(credentials, **changes)


def pushed(mode: SecurityMode, message: bytes = vectors.PUSH_MESSAGE, **changes):
    """The query, as a framework hands it over, and the body of a push in `mode`."""
    query, body = seal_push(
        message,
        credentials=account(**changes),
        mode=mode,
        timestamp=int(vectors.PUSH_TIMESTAMP),
        nonce=vectors.PUSH_NONCE,
        random=vectors.PUSH_RANDOM,
        openid=vectors.FOLLOWER,
    )
    return {name: [value] for name, value in query.items()}, body


def changed(query: dict[str, list[str]], name: str, *values: str) -> dict[str, list[str]]:
    """`query` with other values for one parameter; none at all takes it away."""
    rest = {other: value for other, value in query.items() if other != name}
    return rest | {name: list(values)} if values else rest


@pytest.mark.parametrize("mode", SecurityMode)
def test_a_push_in_the_configured_mode_opens(mode):
    query, body = pushed(mode)
    opened = open_push(account(mode), query, body)
    assert parse_message(opened.body).event_key == "qrscene_bind-7F3K"
    assert opened.timestamp == 1767225661
    assert opened.key == (None if mode is PLAINTEXT else KEY)


def test_our_vector_opens():
    query = {
        "signature": [vectors.PUSH_SIGNATURE],
        "timestamp": [vectors.PUSH_TIMESTAMP],
        "nonce": [vectors.PUSH_NONCE],
        "encrypt_type": ["aes"],
        "msg_signature": [vectors.PUSH_MSG_SIGNATURE],
    }
    body = (
        f"<xml>\n  <ToUserName><![CDATA[{vectors.ORIGINAL_ID}]]></ToUserName>\n"
        f"  <Encrypt> <![CDATA[{vectors.PUSH_ENCRYPT}]]> </Encrypt>\n</xml>"
    )
    assert open_push(account(), query, body.encode()).body == vectors.PUSH_MESSAGE


def test_the_published_vector_opens():
    timestamp, nonce, signature = vectors.OFFICIAL_SIGNATURES[2]
    credentials = Credentials(
        app_id=vectors.OFFICIAL_APP_ID,
        mode=SAFE,
        tokens=(vectors.OFFICIAL_TOKEN,),
        aes_keys=(vectors.OFFICIAL_AES_KEY,),
    )
    query = {
        "signature": [signature],
        "timestamp": [timestamp],
        "nonce": [nonce],
        "encrypt_type": ["aes"],
        "msg_signature": [vectors.OFFICIAL_PUSH_MSG_SIGNATURE],
    }
    body = f"<xml><Encrypt>{vectors.OFFICIAL_PUSH_ENCRYPT}</Encrypt></xml>".encode()
    assert open_push(credentials, query, body).body == vectors.OFFICIAL_PUSH_MESSAGE


def test_the_plain_fields_beside_the_ciphertext_are_ignored():
    query, body = pushed(COMPATIBLE)
    forged = body.replace(vectors.FOLLOWER.encode(), b"oForger")
    assert forged != body
    opened = open_push(account(COMPATIBLE), query, forged)
    assert opened.body == vectors.PUSH_MESSAGE


@pytest.mark.parametrize("mode", [COMPATIBLE, SAFE])
def test_a_plaintext_account_with_a_key_opens_encrypted_pushes(mode):
    query, body = pushed(mode)
    opened = open_push(account(PLAINTEXT), query, body)
    assert (opened.body, opened.key) == (vectors.PUSH_MESSAGE, KEY)


@pytest.mark.parametrize("mode", [COMPATIBLE, SAFE])
def test_a_plaintext_account_without_a_key_gets_the_outer_body(mode):
    query, body = pushed(mode)
    opened = open_push(account(PLAINTEXT, aes_keys=()), query, body)
    assert (opened.body, opened.key) == (body, None)


@pytest.mark.parametrize(("configured", "sent"), [(SAFE, COMPATIBLE), (COMPATIBLE, SAFE)])
def test_encrypted_modes_open_each_other(configured, sent):
    query, body = pushed(sent)
    assert open_push(account(configured), query, body).body == vectors.PUSH_MESSAGE


def test_encrypt_type_raw_is_plain():
    query, body = pushed(PLAINTEXT)
    query = changed(query, "encrypt_type", "raw")
    assert open_push(account(PLAINTEXT), query, body).body == body


REFUSED_IN_EVERY_MODE = [
    ("signature", (), InvalidParameters),
    ("signature", (vectors.PUSH_SIGNATURE,) * 2, InvalidParameters),
    ("signature", ("",), InvalidParameters),
    ("signature", (vectors.PUSH_SIGNATURE[:-1],), InvalidParameters),
    ("signature", (vectors.PUSH_SIGNATURE + "\n",), InvalidParameters),
    ("signature", ("g" * 40,), InvalidParameters),
    ("signature", ("0" * 40,), SignatureMismatch),
    ("timestamp", (), InvalidParameters),
    ("timestamp", (vectors.PUSH_TIMESTAMP,) * 2, InvalidParameters),
    ("timestamp", ("",), InvalidParameters),
    ("timestamp", ("-1",), InvalidParameters),
    ("timestamp", ("1" * 21,), InvalidParameters),
    ("timestamp", ("１７６７２２５６６１",), InvalidParameters),
    ("timestamp", ("1767225662",), SignatureMismatch),
    ("nonce", (), InvalidParameters),
    ("nonce", (vectors.PUSH_NONCE,) * 2, InvalidParameters),
    ("nonce", ("",), InvalidParameters),
    ("nonce", ("1" * 129,), InvalidParameters),
    ("nonce", ("904417236",), SignatureMismatch),
    ("encrypt_type", ("",), InvalidParameters),
    ("encrypt_type", ("AES",), InvalidParameters),
    ("encrypt_type", ("des",), InvalidParameters),
    ("encrypt_type", ("aes", "aes"), InvalidParameters),
    ("encrypt_type", ("raw", "aes"), InvalidParameters),
]
REFUSED_WHEN_ENCRYPTED = [
    ("encrypt_type", (), Downgraded),
    ("encrypt_type", ("raw",), Downgraded),
    ("msg_signature", (), InvalidParameters),
    ("msg_signature", (vectors.PUSH_MSG_SIGNATURE,) * 2, InvalidParameters),
    ("msg_signature", ("0" * 39,), InvalidParameters),
    ("msg_signature", ("0" * 40,), SignatureMismatch),
    # The classic mistake: the signature that does not cover the body.
    ("msg_signature", (vectors.PUSH_SIGNATURE,), SignatureMismatch),
]


@pytest.mark.parametrize(
    ("mode", "name", "values", "error"),
    [(mode, *refusal) for mode in SecurityMode for refusal in REFUSED_IN_EVERY_MODE]
    + [(mode, *refusal) for mode in (COMPATIBLE, SAFE) for refusal in REFUSED_WHEN_ENCRYPTED],
)
def test_one_wrong_parameter_is_enough(mode, name, values, error):
    query, body = pushed(mode)
    with pytest.raises(NotAuthentic) as caught:
        open_push(account(mode), changed(query, name, *values), body)
    assert type(caught.value) is error


SAFE_BODY = pushed(SAFE)[1]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", NotAuthentic),
        (b"{}", NotAuthentic),
        (SAFE_BODY[:-1], NotAuthentic),
        (b"<!DOCTYPE xml>" + SAFE_BODY, NotAuthentic),
        (vectors.PUSH_MESSAGE, NotAuthentic),
        (SAFE_BODY.replace(b"Encrypt>", b"encrypt>"), NotAuthentic),
        (SAFE_BODY.replace(b"</xml>", b"<Encrypt>x</Encrypt></xml>"), NotAuthentic),
        (b"<xml><Encrypt/></xml>", NotAuthentic),
        (b"<xml><Encrypt><a>x</a></Encrypt></xml>", NotAuthentic),
        (SAFE_BODY.replace(b"CDATA[kAW9", b"CDATA[kAW8"), SignatureMismatch),
    ],
)
def test_one_change_to_the_body_is_enough(body, error):
    query, unchanged = pushed(SAFE)
    assert body != unchanged
    with pytest.raises(NotAuthentic) as caught:
        open_push(account(), query, body)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tokens": (OTHER_TOKEN,)}, SignatureMismatch),
        ({"tokens": ()}, SignatureMismatch),
        ({"aes_keys": (OTHER_AES_KEY,)}, DecryptionFailed),
        ({"aes_keys": ()}, DecryptionFailed),
        ({"app_id": vectors.OFFICIAL_APP_ID}, AppIdMismatch),
        (
            {
                "app_id": vectors.OFFICIAL_APP_ID,
                "aes_keys": (vectors.AES_KEY, OTHER_AES_KEY),
            },
            AppIdMismatch,
        ),
        ({"aes_keys": ("too short",)}, InvalidKey),
    ],
)
def test_one_difference_in_the_credentials_is_enough(changes, error):
    query, body = pushed(SAFE)
    with pytest.raises(WeChatError) as caught:
        open_push(account(**changes), query, body)
    assert type(caught.value) is error


def test_a_request_signed_with_an_empty_token_is_refused():
    query, body = pushed(SAFE, tokens=("",))
    with pytest.raises(SignatureMismatch):
        open_push(account(tokens=("",)), query, body)


def test_the_two_signatures_must_come_from_one_token():
    query, body = pushed(SAFE)
    signature = sign(OTHER_TOKEN, vectors.PUSH_TIMESTAMP, vectors.PUSH_NONCE)
    credentials = account(tokens=(vectors.TOKEN, OTHER_TOKEN))
    with pytest.raises(SignatureMismatch):
        open_push(credentials, changed(query, "signature", signature), body)


@pytest.mark.parametrize("token", [vectors.TOKEN, OTHER_TOKEN])
@pytest.mark.parametrize("aes_key", [vectors.AES_KEY, OTHER_AES_KEY])
def test_current_and_previous_secrets_open_and_seal(token, aes_key):
    query, body = pushed(SAFE, tokens=(token,), aes_keys=(aes_key,))
    credentials = account(
        tokens=(vectors.TOKEN, OTHER_TOKEN), aes_keys=(vectors.AES_KEY, OTHER_AES_KEY)
    )
    opened = open_push(credentials, query, body)
    assert opened.body == vectors.PUSH_MESSAGE
    assert opened.key == SealingKey(token, aes_key)

    sealed = seal(
        "<xml/>", opened.key, app_id=vectors.APP_ID, timestamp=1, nonce="2", random=RANDOM
    )
    with_these_only = account(tokens=(token,), aes_keys=(aes_key,))
    assert open_reply(sealed.encode(), credentials=with_these_only) == b"<xml/>"


@pytest.mark.parametrize("wrong", ["padding", "length", "app id"])
def test_however_a_wrong_key_shows_the_next_one_is_tried(monkeypatch, wrong):
    decrypt = crypto.decrypt
    current = crypto.decode_aes_key(OTHER_AES_KEY)

    def decrypt_or_fail(encrypted, *, key, app_id):
        if key == current:
            raise AppIdMismatch(wrong) if wrong == "app id" else DecryptionFailed(wrong)
        return decrypt(encrypted, key=key, app_id=app_id)

    monkeypatch.setattr(crypto, "decrypt", decrypt_or_fail)
    query, body = pushed(SAFE)
    opened = open_push(account(aes_keys=(OTHER_AES_KEY, vectors.AES_KEY)), query, body)
    assert opened.key == KEY


def test_authenticate_needs_no_body():
    query, _body = pushed(SAFE)
    parameters = authenticate(account(), query)
    assert parameters == check_parameters(account(), query)
    assert parameters.msg_signature == vectors.PUSH_MSG_SIGNATURE
    with pytest.raises(SignatureMismatch):
        authenticate(account(), changed(query, "signature", "0" * 40))
    with pytest.raises(Downgraded):
        authenticate(account(), changed(query, "encrypt_type"))


ECHO = {
    "signature": [vectors.PUSH_SIGNATURE],
    "timestamp": [vectors.PUSH_TIMESTAMP],
    "nonce": [vectors.PUSH_NONCE],
    "echostr": ["5837397576500011341"],
}


@pytest.mark.parametrize("mode", SecurityMode)
@pytest.mark.parametrize("echostr", ["5837397576500011341", "007", " <b>&\n", "x" * 1024])
def test_the_url_is_verified_with_the_very_echostr(mode, echostr):
    assert verify_url(account(mode), changed(ECHO, "echostr", echostr)) == echostr


def test_the_url_is_verified_with_the_previous_token_too():
    assert verify_url(account(tokens=(OTHER_TOKEN, vectors.TOKEN)), ECHO) == ECHO["echostr"][0]


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        *[refusal for refusal in REFUSED_IN_EVERY_MODE if refusal[0] in ECHO],
        ("echostr", (), InvalidParameters),
        ("echostr", ("1", "1"), InvalidParameters),
        ("echostr", ("",), InvalidParameters),
        ("echostr", ("x" * 1025,), InvalidParameters),
    ],
)
def test_a_url_verification_with_one_wrong_parameter_is_refused(name, values, error):
    with pytest.raises(NotAuthentic) as caught:
        verify_url(account(), changed(ECHO, name, *values))
    assert type(caught.value) is error


@pytest.mark.parametrize("tokens", [(), ("",), (OTHER_TOKEN,)])
def test_a_url_is_not_verified_without_the_token(tokens):
    with pytest.raises(SignatureMismatch):
        verify_url(account(tokens=tokens), ECHO)


def test_our_reply_vector_is_sealed_byte_for_byte():
    reply_xml = render(
        TextReply(vectors.REPLY_CONTENT),
        to_user_name=vectors.FOLLOWER,
        from_user_name=vectors.ORIGINAL_ID,
        create_time=vectors.REPLY_TIMESTAMP,
    )
    sealed = seal(
        reply_xml,
        KEY,
        app_id=vectors.APP_ID,
        timestamp=vectors.REPLY_TIMESTAMP,
        nonce=vectors.REPLY_NONCE,
        random=vectors.REPLY_RANDOM,
    )
    assert {child.tag: child.text for child in fromstring(sealed)} == {
        "Encrypt": vectors.REPLY_ENCRYPT,
        "MsgSignature": vectors.REPLY_MSG_SIGNATURE,
        "TimeStamp": str(vectors.REPLY_TIMESTAMP),
        "Nonce": vectors.REPLY_NONCE,
    }


def test_wechatpy_opens_what_we_seal():
    theirs = WeChatCrypto(vectors.TOKEN, vectors.AES_KEY, vectors.APP_ID)
    sealed = seal(
        "<xml>好</xml>", KEY, app_id=vectors.APP_ID, timestamp=1, nonce="2", random=RANDOM
    )
    msg_signature = fromstring(sealed).findtext("MsgSignature")
    assert theirs.decrypt_message(sealed, msg_signature, "1", "2") == "<xml>好</xml>"


def test_we_open_what_wechatpy_seals():
    theirs = WeChatCrypto(vectors.TOKEN, vectors.AES_KEY, vectors.APP_ID)
    sealed = theirs.encrypt_message(
        vectors.PUSH_MESSAGE.decode(), vectors.PUSH_NONCE, vectors.PUSH_TIMESTAMP
    )
    msg_signature = fromstring(sealed).findtext("MsgSignature")
    query = changed(pushed(SAFE)[0], "msg_signature", msg_signature)
    assert open_push(account(), query, sealed.encode()).body == vectors.PUSH_MESSAGE


def test_secrets_do_not_show():
    query, body = pushed(SAFE)
    shown = repr((account(), open_push(account(), query, body)))
    assert vectors.APP_ID in shown
    for secret in (vectors.TOKEN, vectors.AES_KEY, vectors.FOLLOWER):
        assert secret not in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotAuthentic, -40001),
        (InvalidParameters, -40001),
        (SignatureMismatch, -40001),
        (Downgraded, -40001),
        (InvalidKey, -40004),
        (AppIdMismatch, -40005),
        (DecryptionFailed, -40007),
    ],
)
def test_errors_carry_wechats_codes(error, code):
    assert error.code == code


# --- Query strings ---

pieces = st.sampled_from(["&", "=", "%", "+", "%20", "a", "nonce", "1", ";", "é", "", "&&", "a=1"])


@given(st.lists(pieces, max_size=12).map("".join))
def test_a_query_is_read_as_the_standard_library_does(query):
    assert parse_query(query) == parse_qs(query, keep_blank_values=True)


@pytest.mark.parametrize("sign", ["", "+"])
def test_a_query_of_a_hundred_parameters_is_the_longest(sign):
    assert len(parse_query("&".join(f"p{n}={sign}1" for n in range(100)))) == 100
    with pytest.raises(InvalidParameters):
        parse_query("&".join(f"p{n}={sign}1" for n in range(101)))
