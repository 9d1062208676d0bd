"""Passive replies (被动回复): the possible answers to a push, and their XML.

Besides these there is `ACKNOWLEDGEMENT`, which tells WeChat to show nothing. It is sent
unencrypted in every mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from . import xml
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
    "fitting",
    "parse_reply",
    "render",
    "split_text",
]

ACKNOWLEDGEMENT = "success"

# Bytes of UTF-8. WeChat does not deliver a longer text, and tells the follower that the account is
# out of order. So it is better to send only the beginning.
TEXT_LIMIT = 2048
# Ends a text that was cut.
_MORE = "…"

# 回复图文消息: one article in answer to a message, up to eight in other cases.
MAX_ARTICLES = 8


@dataclass(frozen=True, slots=True)
class TextReply:
    """A text; more than 2048 bytes of UTF-8 need several messages. ValueError if it is blank.

    WeChat treats an empty Content as a broken reply, not as no reply.
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
    """Hands the message to customer service (多客服): to any agent, or to `name@wechatid`."""

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
    """Return the XML of `reply`, not yet encrypted; `fitting` cuts it to WeChat's limit.

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


def fitting(reply_xml: str, *, is_cut: bool) -> str:
    """Return the XML of a reply within WeChat's limit: of a longer text only the first part.

    `is_cut` says that the other parts will not be sent; then the first ends with an ellipsis.
    """
    # A quick test: a character has up to four bytes, and the XML is longer than its text.
    if len(reply_xml) * 4 <= TEXT_LIMIT or len(reply_xml.encode()) <= TEXT_LIMIT:
        return reply_xml
    fields = xml.parse(reply_xml.encode())
    content = fields.get("Content")
    if not isinstance(content, str) or len(content.encode()) <= TEXT_LIMIT:
        return reply_xml
    part = split_text(content)[0]
    if is_cut:
        part = _beginning(part, TEXT_LIMIT - len(_MORE.encode())) + _MORE
    return render(
        TextReply(part),
        to_user_name=str(fields["ToUserName"]),
        from_user_name=str(fields["FromUserName"]),
        create_time=int(str(fields["CreateTime"])),
    )


def split_text(content: str) -> list[str]:
    """Return the text in parts of at most 2048 bytes of UTF-8, cut between characters.

    A part ends at the end of a line if that shortens it by less than an eighth.
    """
    rest, parts = clean(content), []
    while rest:
        part = _beginning(rest, TEXT_LIMIT)
        if len(part) < len(rest):
            line_end = part.rfind("\n") + 1
            if line_end > len(part) * 7 // 8:
                part = part[:line_end]
        parts.append(part)
        rest = rest[len(part) :]
    # WeChat would refuse a part that has only blanks.
    return [part for part in parts if part.strip()]


def parse_reply(reply_xml: str) -> Reply:
    """Return the reply from which `render` made this XML; ValueError for an unknown type."""
    fields = xml.parse(reply_xml.encode())

    def text(name: str, of: object = fields) -> str:
        value = of.get(name, "") if isinstance(of, Mapping) else ""
        return value if isinstance(value, str) else ""

    match text("MsgType"):
        case "text":
            return TextReply(text("Content"))
        case "image":
            return ImageReply(text("MediaId", fields.get("Image")))
        case "voice":
            return VoiceReply(text("MediaId", fields.get("Voice")))
        case "video":
            video = fields.get("Video")
            return VideoReply(
                text("MediaId", video), text("Title", video), text("Description", video)
            )
        case "music":
            music = fields.get("Music")
            return MusicReply(
                text("ThumbMediaId", music),
                text("Title", music),
                text("Description", music),
                text("MusicUrl", music),
                text("HQMusicUrl", music),
            )
        case "news":
            articles = fields.get("Articles")
            items = articles.get("item") if isinstance(articles, Mapping) else None
            return NewsReply(
                tuple(
                    Article(
                        text("Title", item),
                        text("Description", item),
                        text("PicUrl", item),
                        text("Url", item),
                    )
                    for item in (items if isinstance(items, list) else [items])
                )
            )
        case "transfer_customer_service":
            return TransferCustomerServiceReply(text("KfAccount", fields.get("TransInfo")))
        case "transfer_biz_ai_ivr":
            return TransferBizAiIvrReply()
        case other:
            raise ValueError(f"no reply has the type {other!r}")


def _type_and_content(reply: Reply) -> tuple[str, str]:
    """Return the reply's MsgType and the elements that this type adds (被动回复用户消息)."""
    match reply:
        case TextReply(content):
            return "text", element("Content", clean(content))
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


def _beginning(text: str, size: int) -> str:
    # "ignore" drops the rest of a character that the limit cuts.
    return text.encode()[:size].decode("utf-8", "ignore")
