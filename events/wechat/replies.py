"""Passive replies (被动回复): what may be answered to a push, and its XML.

Besides these there is `ACKNOWLEDGEMENT`, which tells WeChat that nothing is to be shown. It is
sent bare, in every mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from .xml import clean, element

__all__ = [
    "ACKNOWLEDGEMENT",
    "Article",
    "ImageReply",
    "MusicReply",
    "NewsReply",
    "Reply",
    "TextReply",
    "TransferBizAiIvrReply",
    "TransferCustomerServiceReply",
    "VideoReply",
    "VoiceReply",
    "render",
]

ACKNOWLEDGEMENT = "success"

# Bytes of UTF-8. A longer text is not delivered, and the follower is told that the account is out
# of order, so its beginning is better than all of it.
TEXT_LIMIT = 2048

# 回复图文消息: one article in answer to a message, up to eight in other scenes.
MAX_ARTICLES = 8


@dataclass(frozen=True, slots=True)
class TextReply:
    """A text; more than 2048 bytes of UTF-8 are cut off. ValueError if it is blank.

    WeChat takes an empty Content for a broken reply, not for the wish to say nothing.
    """

    content: str

    def __post_init__(self) -> None:
        if not clean(self.content).strip():
            raise ValueError("a text reply needs content; to say nothing, return no reply")


@dataclass(frozen=True, slots=True)
class ImageReply:
    """An image that was uploaded as material (素材)."""

    media_id: str


@dataclass(frozen=True, slots=True)
class VoiceReply:
    """A voice recording that was uploaded as material."""

    media_id: str


@dataclass(frozen=True, slots=True)
class VideoReply:
    """A video that was uploaded as material."""

    media_id: str
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class MusicReply:
    """A link to music; the uploaded thumbnail is required, `hq_music_url` is for Wi-Fi."""

    thumb_media_id: str
    title: str = ""
    description: str = ""
    music_url: str = ""
    hq_music_url: str = ""


@dataclass(frozen=True, slots=True)
class Article:
    """One entry of a `NewsReply`."""

    title: str
    description: str
    pic_url: str
    url: str


@dataclass(frozen=True, slots=True)
class NewsReply:
    """Link cards (图文), 1 to 8, else ValueError.

    In answer to a message WeChat shows the first one only; one is always safe.
    """

    articles: tuple[Article, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.articles) <= MAX_ARTICLES:
            raise ValueError(f"a news reply has 1 to {MAX_ARTICLES} articles")


@dataclass(frozen=True, slots=True)
class TransferCustomerServiceReply:
    """Hands the message to customer service (多客服): to anybody, or to `name@wechatid`."""

    kf_account: str = ""


@dataclass(frozen=True, slots=True)
class TransferBizAiIvrReply:
    """Hands the follower's message to the account's AI reply in WeChat."""


Reply: TypeAlias = (
    TextReply
    | ImageReply
    | VoiceReply
    | VideoReply
    | MusicReply
    | NewsReply
    | TransferCustomerServiceReply
    | TransferBizAiIvrReply
)


def render(reply: Reply, *, to_user_name: str, from_user_name: str, create_time: int) -> str:
    """Return the XML of `reply`, not yet encrypted.

    The names are those of the push, exchanged: `to_user_name` is the follower's OpenID,
    `from_user_name` the account's `gh_…`. `create_time` is in Unix seconds.
    """
    msg_type, content = _type_and_content(reply)
    return (
        "<xml>"
        + element("ToUserName", to_user_name)
        + element("FromUserName", from_user_name)
        + element("CreateTime", create_time)
        + element("MsgType", msg_type)
        + content
        + "</xml>"
    )


def _type_and_content(reply: Reply) -> tuple[str, str]:
    """Return the reply's MsgType and the elements that this type adds (被动回复用户消息)."""
    match reply:
        case TextReply(content):
            return "text", element("Content", _cut(content))
        case ImageReply(media_id):
            return "image", element("Image", {"MediaId": media_id})
        case VoiceReply(media_id):
            return "voice", element("Voice", {"MediaId": media_id})
        case VideoReply(media_id, title, description):
            video = {"MediaId": media_id, "Title": title, "Description": description}
            return "video", element("Video", _filled(video))
        case MusicReply(thumb_media_id, title, description, music_url, hq_music_url):
            music = {
                "Title": title,
                "Description": description,
                "MusicUrl": music_url,
                "HQMusicUrl": hq_music_url,
                "ThumbMediaId": thumb_media_id,
            }
            return "music", element("Music", _filled(music))
        case NewsReply(articles):
            items = "".join(_item(article) for article in articles)
            count = element("ArticleCount", len(articles))
            return "news", f"{count}<Articles>{items}</Articles>"
        case TransferCustomerServiceReply(""):
            return "transfer_customer_service", ""
        case TransferCustomerServiceReply(kf_account):
            agent = element("TransInfo", {"KfAccount": kf_account})
            return "transfer_customer_service", agent
        case TransferBizAiIvrReply():
            return "transfer_biz_ai_ivr", ""
        case _:
            assert_never(reply)


def _item(article: Article) -> str:
    return element(
        "item",
        {
            "Title": article.title,
            "Description": article.description,
            "PicUrl": article.pic_url,
            "Url": article.url,
        },
    )


def _filled(children: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in children.items() if text}


def _cut(content: str) -> str:
    # "ignore" drops what is left of the character that the limit falls into.
    return clean(content).encode()[:TEXT_LIMIT].decode("utf-8", "ignore")
