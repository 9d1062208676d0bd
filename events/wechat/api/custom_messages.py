"""Customer-service messages (客服消息), which a follower can get while their window is open.

A message from the follower opens the window for 48 hours and five messages. A follow, a scan, or a
tap on a `click`, `scancode_push` or `scancode_waitmsg` entry opens it for one minute and three
messages. WeChat gives no message id and no receipt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from events.wechat.replies import Article

from .transport.calls import Calls

__all__ = [
    "LONGEST_TEXT",
    "SEND_PATH",
    "ArticleMessage",
    "Choice",
    "ChoiceMessage",
    "CustomMessage",
    "CustomMessages",
    "ImageMessage",
    "MaterialMessage",
    "MiniProgramMessage",
    "MusicMessage",
    "NewsMessage",
    "TextMessage",
    "VideoMessage",
    "VoiceMessage",
]

# The `path` in errors of the call that sends a message.
SEND_PATH = "/cgi-bin/message/custom/send"

# Bytes of UTF-8.
LONGEST_TEXT = 2048


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A text of 1 to 2048 bytes of UTF-8, else ValueError; links `<a href>` are allowed."""

    content: str

    def __post_init__(self) -> None:
        if not self.content.strip():
            raise ValueError("a text message needs content")
        if len(self.content.encode()) > LONGEST_TEXT:
            raise ValueError(f"a text message has at most {LONGEST_TEXT} bytes")


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """An image that was uploaded as material (素材)."""

    media_id: str


@dataclass(frozen=True, slots=True)
class VoiceMessage:
    """A voice recording that was uploaded as material."""

    media_id: str


@dataclass(frozen=True, slots=True)
class VideoMessage:
    """A video that was uploaded as material, with its uploaded preview picture."""

    media_id: str
    thumb_media_id: str = ""
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class MusicMessage:
    """A link to music; the uploaded thumbnail is required, `hq_music_url` is for Wi-Fi."""

    thumb_media_id: str
    title: str = ""
    description: str = ""
    music_url: str = ""
    hq_music_url: str = ""


@dataclass(frozen=True, slots=True)
class MiniProgramMessage:
    """A card (小程序卡片) of a mini program that is linked to the account; `page` may be empty."""

    title: str
    app_id: str
    page: str
    thumb_media_id: str


@dataclass(frozen=True, slots=True)
class NewsMessage:
    """A link card (图文); WeChat accepts one per message."""

    article: Article


@dataclass(frozen=True, slots=True)
class MaterialMessage:
    """An article from the account's material (mpnews)."""

    media_id: str


@dataclass(frozen=True, slots=True)
class ArticleMessage:
    """A published article (mpnewsarticle)."""

    article_id: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a `ChoiceMessage`; `id` comes back as `bizmsgmenuid`."""

    id: str
    content: str


@dataclass(frozen=True, slots=True)
class ChoiceMessage:
    """A question with answers to tap (msgmenu); a tap comes back as a text message."""

    head: str
    choices: tuple[Choice, ...]
    tail: str = ""

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("a message with choices needs at least one")


CustomMessage: TypeAlias = (
    TextMessage
    | ImageMessage
    | VoiceMessage
    | VideoMessage
    | MusicMessage
    | NewsMessage
    | MaterialMessage
    | ArticleMessage
    | MiniProgramMessage
    | ChoiceMessage
)


class CustomMessages:
    """Sends messages. After `Unreachable` with `may_have_arrived` a message may have been sent."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def send(self, openid: str, message: CustomMessage) -> None:
        """Sends a message.

        Raises `RecipientRejected` if the follower has left or their window is closed or used up.
        """
        msg_type, content = _type_and_content(message)
        self._calls.post(SEND_PATH, {"touser": openid, "msgtype": msg_type, msg_type: content})


def _type_and_content(message: CustomMessage) -> tuple[str, dict[str, Any]]:
    match message:
        case TextMessage(content):
            return "text", {"content": content}
        case ImageMessage(media_id):
            return "image", {"media_id": media_id}
        case VoiceMessage(media_id):
            return "voice", {"media_id": media_id}
        case VideoMessage(media_id, thumb_media_id, title, description):
            video = {"media_id": media_id, "title": title, "description": description}
            # WeChat refuses an unknown id (40007), but accepts a video without one.
            if thumb_media_id:
                video["thumb_media_id"] = thumb_media_id
            return "video", video
        case MusicMessage(thumb_media_id, title, description, music_url, hq_music_url):
            # These names are in lower case, unlike those of the passive reply.
            music = {
                "title": title,
                "description": description,
                "musicurl": music_url,
                "hqmusicurl": hq_music_url,
                "thumb_media_id": thumb_media_id,
            }
            return "music", music
        case MiniProgramMessage(title, app_id, page, thumb_media_id):
            program = {
                "title": title,
                "appid": app_id,
                "pagepath": page,
                "thumb_media_id": thumb_media_id,
            }
            return "miniprogrampage", program
        case NewsMessage(article):
            card = {
                "title": article.title,
                "description": article.description,
                "url": article.url,
                "picurl": article.pic_url,
            }
            return "news", {"articles": [card]}
        case MaterialMessage(media_id):
            return "mpnews", {"media_id": media_id}
        case ArticleMessage(article_id):
            return "mpnewsarticle", {"article_id": article_id}
        case ChoiceMessage(head, choices, tail):
            listed = [{"id": choice.id, "content": choice.content} for choice in choices]
            return "msgmenu", {"head_content": head, "list": listed, "tail_content": tail}
        case _:
            assert_never(message)
