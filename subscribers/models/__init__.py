"""The tables of what the events mean: followers, codes, bindings, messages, syncs."""

from __future__ import annotations

from subscribers.models.binding import (
    Binding,
    BindingRequest,
    BindingScan,
    BindingText,
    Refusal,
)
from subscribers.models.erasure import Erasure, PseudonymKey
from subscribers.models.followers.follower_export import FollowerExport
from subscribers.models.followers.follower_sync import FollowerSync
from subscribers.models.followers.follower_tag import FollowerEdit, FollowerTag, TagRead
from subscribers.models.followers.profile_fetch import ProfileFetch
from subscribers.models.followers.segment import Segment
from subscribers.models.inbox import (
    Conversation,
    ConversationLook,
    ConversationNote,
    SavedAnswer,
)
from subscribers.models.outgoing_message import OutgoingMessage
from subscribers.models.qr_code import QRScene
from subscribers.models.received_media import ReceivedMedia
from subscribers.models.scene import SceneTag
from subscribers.models.seen_scene import SeenScene
from subscribers.models.sign_in import SignInRequest
from subscribers.models.stats.roll_ups import (
    FollowerMonth,
    FollowingChange,
    FollowingInterval,
    FollowWay,
    SceneAct,
    SourceDay,
    SourceProgress,
)
from subscribers.models.stats.wechat_day import WeChatDay
from subscribers.models.subscriber import CarriedOverState, Subscriber, SubscriberQuerySet
from subscribers.models.webhook import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookLateEvent,
    WebhookMessage,
    WebhookOutbox,
    WebhookPosition,
)

__all__ = [
    "Binding",
    "BindingRequest",
    "BindingScan",
    "BindingText",
    "CarriedOverState",
    "Conversation",
    "ConversationLook",
    "ConversationNote",
    "Erasure",
    "FollowWay",
    "FollowerEdit",
    "FollowerExport",
    "FollowerMonth",
    "FollowerSync",
    "FollowerTag",
    "FollowingChange",
    "FollowingInterval",
    "OutgoingMessage",
    "ProfileFetch",
    "PseudonymKey",
    "QRScene",
    "ReceivedMedia",
    "Refusal",
    "SavedAnswer",
    "SceneAct",
    "SceneTag",
    "SeenScene",
    "Segment",
    "SignInRequest",
    "SourceDay",
    "SourceProgress",
    "Subscriber",
    "SubscriberQuerySet",
    "TagRead",
    "WeChatDay",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookLateEvent",
    "WebhookMessage",
    "WebhookOutbox",
    "WebhookPosition",
]
