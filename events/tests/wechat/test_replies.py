from __future__ import annotations

import pytest
import wechatpy.replies
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from events.wechat.replies import (
    ACKNOWLEDGEMENT,
    Article,
    ImageReply,
    MusicReply,
    NewsReply,
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

from .vectors import FOLLOWER, ORIGINAL_ID

BIND = Article(
    title="绑定你的会员账号",
    description="点击完成绑定，30 分钟内有效",
    pic_url="https://cdn.example.com/bind-360x200.png",
    url="https://www.example.com/bind?k=7F3K&from=oa",
)
BIND_ITEM = {
    "Title": BIND.title,
    "Description": BIND.description,
    "PicUrl": BIND.pic_url,
    "Url": BIND.url,
}


def rendered(reply) -> str:
    return render(reply, to_user_name=FOLLOWER, from_user_name=ORIGINAL_ID, create_time=1767225662)


def tree(node):
    """(name, text) of a leaf, (name, [children]) of anything else."""
    return (node.tag, [tree(child) for child in node] if len(node) else node.text or "")


@pytest.mark.parametrize(
    ("reply", "msg_type", "content"),
    [
        (TextReply("绑定成功 🎉"), "text", [("Content", "绑定成功 🎉")]),
        (TextReply('<a href="x">&</a>\n]]>'), "text", [("Content", '<a href="x">&</a>\n]]>')]),
        (TextReply("a\x00b\ud83dc"), "text", [("Content", "abc")]),
        (ImageReply("m"), "image", [("Image", [("MediaId", "m")])]),
        (VoiceReply("m"), "voice", [("Voice", [("MediaId", "m")])]),
        (VideoReply("m"), "video", [("Video", [("MediaId", "m")])]),
        (
            VideoReply("m", title="t", description="d"),
            "video",
            [("Video", [("MediaId", "m"), ("Title", "t"), ("Description", "d")])],
        ),
        (MusicReply("m"), "music", [("Music", [("ThumbMediaId", "m")])]),
        (
            MusicReply("m", title="t", description="d", music_url="u", hq_music_url="h"),
            "music",
            [
                (
                    "Music",
                    [
                        ("Title", "t"),
                        ("Description", "d"),
                        ("MusicUrl", "u"),
                        ("HQMusicUrl", "h"),
                        ("ThumbMediaId", "m"),
                    ],
                )
            ],
        ),
        (
            NewsReply((BIND,)),
            "news",
            [("ArticleCount", "1"), ("Articles", [("item", list(BIND_ITEM.items()))])],
        ),
        (
            NewsReply((BIND, BIND)),
            "news",
            [("ArticleCount", "2"), ("Articles", [("item", list(BIND_ITEM.items()))] * 2)],
        ),
        (TransferCustomerServiceReply(), "transfer_customer_service", []),
        (
            TransferCustomerServiceReply("kf2001@demoshop"),
            "transfer_customer_service",
            [("TransInfo", [("KfAccount", "kf2001@demoshop")])],
        ),
        (TransferBizAiIvrReply(), "transfer_biz_ai_ivr", []),
    ],
)
def test_each_type_of_reply(reply, msg_type, content):
    assert tree(fromstring(rendered(reply))) == (
        "xml",
        [
            ("ToUserName", FOLLOWER),
            ("FromUserName", ORIGINAL_ID),
            ("CreateTime", "1767225662"),
            ("MsgType", msg_type),
            *content,
        ],
    )


@pytest.mark.parametrize(
    ("reply", "attributes"),
    [
        (TextReply("绑定成功 🎉"), {"content": "绑定成功 🎉"}),
        (ImageReply("m"), {"image": "m"}),
        (VoiceReply("m"), {"voice": "m"}),
        (VideoReply("m", title="t", description="d"), {"media_id": "m", "title": "t"}),
        (
            MusicReply("m", title="t", description="d", music_url="u", hq_music_url="h"),
            {"thumb_media_id": "m", "music_url": "u", "hq_music_url": "h"},
        ),
        (TransferCustomerServiceReply(), {}),
    ],
)
def test_wechatpy_understands_our_replies(reply, attributes):
    theirs = wechatpy.replies.deserialize_reply(rendered(reply))
    assert (theirs.target, theirs.source) == (FOLLOWER, ORIGINAL_ID)
    assert {name: getattr(theirs, name) for name in attributes} == attributes


def test_a_rendered_reply_begins_at_once():
    # WeChat counts a byte order mark or white space before <xml> as an illegal response.
    assert rendered(TextReply("x")).startswith("<xml><ToUserName>")


@pytest.mark.parametrize(
    ("content", "delivered"),
    [
        ("x" * 2048, "x" * 2048),
        ("x" * 2049, "x" * 2048),
        ("好" * 683, "好" * 682),
        ("xx" + "好" * 682, "xx" + "好" * 682),
        ("x" + "🎉" * 512, "x" + "🎉" * 511),
        ("\x00" * 100 + "x" * 2048, "x" * 2048),
    ],
)
def test_a_long_text_is_cut_between_characters(content, delivered):
    xml = rendered(TextReply(content))
    assert fromstring(fitting(xml, is_cut=False)).findtext("Content") == delivered


def test_a_cut_text_says_that_there_would_be_more():
    xml = rendered(TextReply("好" * 1000))
    content = fromstring(fitting(xml, is_cut=True)).findtext("Content")
    assert content == "好" * 681 + "…"
    assert fitting(rendered(TextReply("好" * 682)), is_cut=True).count("好") == 682


@given(st.text(alphabet="好🎉x\n ", min_size=1, max_size=5000))
def test_the_parts_of_a_text_are_its_whole_and_each_fits(text):
    parts = split_text(text)
    assert all(len(part.encode()) <= 2048 and part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize(
    "reply",
    [
        TextReply("a ]]> b <c>\n好 🎉"),
        ImageReply("m"),
        VoiceReply("m"),
        VideoReply("m", "t"),
        MusicReply("m", "t", "d", "u", "h"),
        MusicReply("m"),
        NewsReply((BIND,)),
        NewsReply((BIND, BIND)),
        TransferCustomerServiceReply(),
        TransferCustomerServiceReply("agent@shop"),
        TransferBizAiIvrReply(),
    ],
)
def test_a_reply_is_read_back_from_its_xml(reply):
    assert parse_reply(rendered(reply)) == reply


@pytest.mark.parametrize("content", ["", "  \n", "\x00", "\ud800"])
def test_a_blank_text_is_no_reply(content):
    with pytest.raises(ValueError, match="content"):
        TextReply(content)


@pytest.mark.parametrize("count", [0, 9])
def test_news_has_one_to_eight_articles(count):
    NewsReply((BIND,) * 8)
    with pytest.raises(ValueError, match="articles"):
        NewsReply((BIND,) * count)


def test_the_acknowledgement_is_wechats_word():
    assert ACKNOWLEDGEMENT == "success"
