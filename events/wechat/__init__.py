"""The protocol between WeChat and an Official Account's server, as pure functions.

Nothing here imports Django, reads the clock, or makes random values: times, nonces and random bytes
are arguments. One push goes through the modules in these steps:

1. `envelope.authenticate` checks the query's `signature`, before the body is read;
2. `envelope.open_authentic` verifies and decrypts the body by the account's `Credentials`;
3. `message.parse_message` turns it into a `Message`, which knows its kind and dedup key;
4. `replies.render` writes the reply, if there is one, as XML;
5. `envelope.seal` encrypts it with the key that opened the push.

After `NotAuthentic` the caller answers 403 and stores nothing. After `Unreadable` it stores the
body as it came and acknowledges it.
`sender` (not re-exported) plays WeChat's part for the simulator and tests.
"""

from __future__ import annotations

from .envelope import (
    Credentials,
    Opened,
    Parameters,
    SealingKey,
    SecurityMode,
    authenticate,
    check_parameters,
    open_authentic,
    open_push,
    parse_query,
    seal,
    verify_url,
)
from .errors import (
    AppIdMismatch,
    DecryptionFailed,
    Downgraded,
    InvalidKey,
    InvalidParameters,
    NotAuthentic,
    SignatureMismatch,
    TooOld,
    Unreadable,
    WeChatError,
)
from .message import (
    EVENT_TYPES,
    Message,
    kind_of,
    parse_message,
    unreadable_key,
)
from .replies import (
    ACKNOWLEDGEMENT,
    Article,
    ImageReply,
    MusicReply,
    NewsReply,
    Reply,
    TextReply,
    TransferBizAiIvrReply,
    TransferCustomerServiceReply,
    VideoReply,
    VoiceReply,
    fitting,
    parse_reply,
    render,
    split_text,
)

__all__ = [
    "ACKNOWLEDGEMENT",
    "EVENT_TYPES",
    "AppIdMismatch",
    "Article",
    "Credentials",
    "DecryptionFailed",
    "Downgraded",
    "ImageReply",
    "InvalidKey",
    "InvalidParameters",
    "Message",
    "MusicReply",
    "NewsReply",
    "NotAuthentic",
    "Opened",
    "Parameters",
    "Reply",
    "SealingKey",
    "SecurityMode",
    "SignatureMismatch",
    "TextReply",
    "TooOld",
    "TransferBizAiIvrReply",
    "TransferCustomerServiceReply",
    "Unreadable",
    "VideoReply",
    "VoiceReply",
    "WeChatError",
    "authenticate",
    "check_parameters",
    "fitting",
    "kind_of",
    "open_authentic",
    "open_push",
    "parse_message",
    "parse_query",
    "parse_reply",
    "render",
    "seal",
    "split_text",
    "unreadable_key",
    "verify_url",
]
