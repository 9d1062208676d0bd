"""The tables of what the events mean: followers, codes, bindings, messages, syncs."""

from __future__ import annotations

from subscribers.models.binding import Binding, BindingRequest, BindingScan, Refusal
from subscribers.models.conversation import (
    Conversation,
    ConversationLook,
    ConversationNote,
    SavedAnswer,
)
from subscribers.models.erasure import Erasure, PseudonymKey
from subscribers.models.follower_sync import FollowerSync
from subscribers.models.outgoing_message import OutgoingMessage
from subscribers.models.profile_fetch import ProfileFetch
from subscribers.models.qr_code import QRScene, SceneTag
from subscribers.models.roll_ups import FollowingChange, FollowingInterval, SceneAct
from subscribers.models.seen_scene import SeenScene
from subscribers.models.subscriber import CarriedOverState, Subscriber, SubscriberQuerySet
from subscribers.models.wechat_day import WeChatDay

__all__ = [
    "Binding",
    "BindingRequest",
    "BindingScan",
    "CarriedOverState",
    "Conversation",
    "ConversationLook",
    "ConversationNote",
    "Erasure",
    "FollowerSync",
    "FollowingChange",
    "FollowingInterval",
    "OutgoingMessage",
    "ProfileFetch",
    "PseudonymKey",
    "QRScene",
    "Refusal",
    "SavedAnswer",
    "SceneAct",
    "SceneTag",
    "SeenScene",
    "Subscriber",
    "SubscriberQuerySet",
    "WeChatDay",
]
