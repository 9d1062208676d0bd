"""All that your own app may import from this site (docs/extending.md).

An app named in EXTRA_APPS has its projections and reply handlers in its module `wechat.py`. The
start imports that module, as Django's admin imports `admin.py`. Names that are not in this module
may change any day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from events.answering.answer import reply_by_rule
from events.log.messages import Addressee, NotDeliverable, send_message
from events.log.registry import ANY_KIND, DEFER, Defer, projection, reply_handler
from events.log.retention_hooks import after_restoring, before_removal, before_restoring, on_erasure
from events.models import EventLog, OfficialAccount
from events.models.event_log import EventLogQuerySet
from events.wechat import (
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
)
from events.wechat.api.custom_messages import (
    ArticleMessage,
    Choice,
    ChoiceMessage,
    CustomMessage,
    ImageMessage,
    MaterialMessage,
    MiniProgramMessage,
    MusicMessage,
    NewsMessage,
    TextMessage,
    VideoMessage,
    VoiceMessage,
)

if TYPE_CHECKING:
    from events.testing import make_account, make_rule, message_xml, push, reply_in
else:

    def __getattr__(name):
        # The test helpers load Django's test client, which a running site does not need.
        if name in {"make_account", "make_rule", "message_xml", "push", "reply_in"}:
            from events import testing

            return getattr(testing, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ANY_KIND",
    "DEFER",
    "Addressee",
    "Article",
    "ArticleMessage",
    "Choice",
    "ChoiceMessage",
    "CustomMessage",
    "Defer",
    "EventLog",
    "EventLogQuerySet",
    "ImageMessage",
    "ImageReply",
    "MaterialMessage",
    "MiniProgramMessage",
    "MusicMessage",
    "MusicReply",
    "NewsMessage",
    "NewsReply",
    "NotDeliverable",
    "OfficialAccount",
    "Reply",
    "TextMessage",
    "TextReply",
    "TransferBizAiIvrReply",
    "TransferCustomerServiceReply",
    "VideoMessage",
    "VideoReply",
    "VoiceMessage",
    "VoiceReply",
    "after_restoring",
    "before_removal",
    "before_restoring",
    "make_account",
    "make_rule",
    "message_xml",
    "on_erasure",
    "projection",
    "push",
    "reply_by_rule",
    "reply_handler",
    "reply_in",
    "send_message",
]
