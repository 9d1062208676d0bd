from __future__ import annotations

import datetime
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from events.answering.publish_rules import publish
from events.media import lend
from events.media.file_kind import FileMistake, Unusable, look_at
from events.media.lend import (
    add_file,
    file_of,
    keep_fresh,
    message_of_file,
    reference,
    send_files,
    used_in_rules,
)
from events.media.poster import prepared_poster, set_poster
from events.models import EventLog, MediaFile, RuleVersion
from events.simulator import Follower
from events.simulator.pushes import Push
from events.stats.update import update_statistics
from events.testing import make_account, make_rule, message_xml, push, reply_in
from events.wechat.api.media import LIMITS
from subscribers.inbox.media import fetch_media, remove_of_person
from subscribers.messages.send import send_message, send_next
from subscribers.models import Conversation, OutgoingMessage, ReceivedMedia, Subscriber
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = pytest.mark.django_db

FOLLOWER = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"
MP3 = b"ID3\x03" + b"\0" * 100
MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 100


def picture(form="PNG", colour="red"):
    made = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(made, form)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (picture(), "image"),
        (picture("JPEG"), "image"),
        (picture("GIF"), "image"),
        (MP3, "voice"),
        (b"#!AMR\n" + b"\x04" + b"\0" * 12, "voice"),
        (MP4, "video"),
        (picture("BMP"), FileMistake.UNKNOWN),
        (b"<html><script>", FileMistake.UNKNOWN),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", FileMistake.UNKNOWN),
        (picture()[:30], FileMistake.UNKNOWN),
        (b"", FileMistake.UNKNOWN),
        (MP3 + b"\0" * LIMITS["voice"], FileMistake.LARGE),
        (b"#!AMR\n" + (b"\x04" + b"\0" * 12) * 3001, FileMistake.LONG),
    ],
)
def test_a_file_is_what_its_content_says(content, kind):
    try:
        found = look_at(content).kind
    except Unusable as error:
        found = error.mistake
    assert found == kind


@pytest.fixture
def image(shop, private_storage):  # noqa: F811
    return add_file(shop, "Opening hours", picture(), by=None)


def follows(at_wechat, account):
    push(account, message_xml("event.subscribe", openid=FOLLOWER))
    return Subscriber.objects.get()


def answers_with(account, file):
    rule = make_rule(account, "text", key="hours", content="x")
    rule.answers = [{"kind": "image", "media_id": reference(file.pk)}]
    rule.save()
    publish(account.pk, user=None)


def test_a_rule_answers_with_a_file_that_wechat_has_and_keeps_having(shop, at_wechat, image):
    answers_with(shop, image)
    assert keep_fresh() == 1
    assert keep_fresh() == 0
    assert send_files() == 1
    image.refresh_from_db()
    assert at_wechat.media[image.media_id].data == picture()
    body = message_xml("text", openid=FOLLOWER, Content="hours", MsgId=1)
    answer = push(shop, body)
    assert answer.status_code == 200
    reply = EventLog.objects.get(kind="text").reply
    assert f"<MediaId><![CDATA[{image.media_id}]]></MediaId>" in reply
    # WeChat forgets it in three days: before that it gets it again.
    first = image.media_id
    MediaFile.objects.update(uploaded_at=timezone.now() - datetime.timedelta(days=2, hours=13))
    assert keep_fresh() == 1
    send_files()
    image.refresh_from_db()
    assert image.media_id not in {"", first}


def test_a_file_that_wechat_has_not_goes_as_a_message_which_sends_it_first(
    shop, at_wechat, fake, image
):
    follows(at_wechat, shop)
    answers_with(shop, image)
    push(shop, message_xml("text", openid=FOLLOWER, Content="hours", MsgId=2))
    message = OutgoingMessage.objects.get()
    assert message.payload["media_id"] == reference(image.pk)
    send_next()
    image.refresh_from_db()
    assert image.media_id in at_wechat.media
    assert EventLog.objects.get(kind="text").reply == ""
    assert fake.calls["/cgi-bin/message/custom/send"] == 1


def test_a_message_without_its_file_waits_for_an_operator(shop, at_wechat, image):
    follower = follows(at_wechat, shop)
    push(shop, message_xml("text", openid=FOLLOWER, Content="hello", MsgId=3))
    OutgoingMessage.objects.create(
        account=shop, subscriber=follower, kind="image", payload={"media_id": "library:999"},
        window_until=timezone.now() + datetime.timedelta(hours=1), created_at=timezone.now(),
    )  # fmt: skip
    send_next()
    assert OutgoingMessage.objects.get().failure == "media"


def test_operators_keep_choose_and_look_at_files(operator, shop, private_storage):  # noqa: F811
    add = reverse("admin:events_mediafile_add")
    wrong = SimpleUploadedFile("x.png", b"<html>", content_type="image/png")
    form = operator.post(add, {"account": shop.pk, "title": "Map", "upload": wrong}).context
    assert "upload" in form["adminform"].form.errors
    right = SimpleUploadedFile("map.exe", picture("JPEG"))
    assert operator.post(add, {"account": shop.pk, "title": "Map", "upload": right}).status_code
    file = MediaFile.objects.get()
    assert (file.kind, file.content_type, file.due_at) == ("image", "image/jpeg", None)
    page = operator.get(reverse("admin:events_mediafile_file", args=[file.pk]))
    assert (page["Content-Type"], b"".join(page.streaming_content)) == (
        "image/jpeg", picture("JPEG"),
    )  # fmt: skip
    own = operator.get(reverse("admin:events_mediafile_change", args=[file.pk]))
    assert "sent when needed" in own.content.decode()
    assert "(&#x27;" not in own.content.decode()
    rule_page = operator.get(reverse("admin:events_replyrule_add"), {"account": shop.slug})
    assert f'value="library:{file.pk}" data-kind="image"' in rule_page.content.decode()
    answers_with(shop, file)
    delete = reverse("admin:events_mediafile_delete", args=[file.pk])
    assert operator.post(delete, {"post": "yes"}).status_code == 403


def test_what_followers_send_is_fetched_kept_shown_and_erased(
    operator,
    shop,
    at_wechat,
    private_storage,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    now = timezone.now()
    ids = {
        "image": at_wechat.keep_media("image", picture("JPEG"), now.timestamp() + 100),
        "voice": at_wechat.keep_media("voice", b"#!AMR\n" + b"\x04" + b"\0" * 12, 1e12),
        "video": at_wechat.keep_media("video", b"<html>", 1e12),
    }
    follows(at_wechat, shop)
    for number, (kind, media_id) in enumerate(ids.items()):
        fields = {"image": {"PicUrl": "http://x.example/p"}, "voice": {"Format": "amr"}}
        push(shop, message_xml(
            kind, openid=FOLLOWER, MediaId=media_id, MsgId=number + 10, **fields.get(kind, {})
        ))  # fmt: skip
    update_statistics()
    assert fetch_media() == 3
    kept = {media.kind: media for media in ReceivedMedia.objects.all()}
    assert kept["image"].content_type == "image/jpeg"
    assert kept["voice"].content_type == "audio/amr"
    assert kept["video"].failure == "no_file"
    talk = Conversation.objects.get()
    page = operator.get(reverse("admin:subscribers_conversation_change", args=[talk.pk]))
    text = page.content.decode()
    shown = reverse("admin:subscribers_conversation_file", args=[kept["image"].pk])
    assert f'src="{shown}"' in text
    assert "x.example" not in text
    assert b"".join(operator.get(shown).streaming_content) == picture("JPEG")
    received = operator.get(
        reverse("admin:subscribers_receivedmedia_change", args=[kept["video"].pk])
    ).content.decode()
    assert "This is no picture, voice or video" in received
    assert "(&#x27;" not in received
    files = private_storage / "received"
    assert len(list(files.iterdir())) == 2
    with django_capture_on_commit_callbacks(execute=True):
        remove_of_person(shop.pk, FOLLOWER, "gone")
    assert list(files.iterdir()) == []
    assert operator.get(shown).status_code == 404


def may_be_written_to(account, at_wechat):
    """The follower writes, here and at WeChat's side."""
    push(account, message_xml("text", openid=FOLLOWER, Content="hello", MsgId=3))
    at_wechat.followers.add(Follower(FOLLOWER, is_following=True))
    at_wechat.note_push(Push(FOLLOWER, int(timezone.now().timestamp()), "text", ""))


def sends_a_video(account, at_wechat, **ids):
    """A follower's video with these ids; the page of the conversation follows."""
    ids = {"MediaId": at_wechat.keep_media("video", MP4, 1e12), **ids}
    push(account, message_xml("video", openid=FOLLOWER, MsgId=30, **ids))
    update_statistics()
    fetch_media()
    return reverse("admin:subscribers_conversation_change", args=[Conversation.objects.get().pk])


def test_a_video_of_a_follower_is_shown_with_its_poster(
    operator,
    shop,
    at_wechat,
    private_storage,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    follows(at_wechat, shop)
    thumb = at_wechat.keep_media("image", picture("JPEG"), 1e12)
    page = sends_a_video(shop, at_wechat, ThumbMediaId=thumb)
    media = ReceivedMedia.objects.get()
    poster = reverse("admin:subscribers_conversation_poster", args=[media.pk])
    follower = reverse("admin:subscribers_subscriber_change", args=[media.subscriber_id])
    for address in (page, follower):
        assert f'poster="{poster}"' in operator.get(address).content.decode()
    answer = operator.get(poster)
    assert answer["Content-Type"] == "image/jpeg"
    assert b"".join(answer.streaming_content) == picture("JPEG")
    with django_capture_on_commit_callbacks(execute=True):
        remove_of_person(shop.pk, FOLLOWER, "gone")
    assert list((private_storage / "received").iterdir()) == []
    assert operator.get(poster).status_code == 404


@pytest.mark.parametrize("thumb", ["forgotten", "a page", ""])
def test_a_video_without_a_poster_is_shown_all_the_same(
    operator,
    shop,
    at_wechat,
    private_storage,  # noqa: F811
    thumb,
):
    follows(at_wechat, shop)
    if thumb == "a page":
        thumb = at_wechat.keep_media("image", b"<html>", 1e12)
    page = sends_a_video(shop, at_wechat, ThumbMediaId=thumb)
    media = ReceivedMedia.objects.get()
    assert (media.content_type, media.poster.name) == ("video/mp4", "")
    text = operator.get(page).content.decode()
    assert reverse("admin:subscribers_conversation_file", args=[media.pk]) in text
    assert 'video.svg"' in text
    poster = reverse("admin:subscribers_conversation_poster", args=[media.pk])
    assert operator.get(poster).status_code == 404


def test_a_video_of_the_library_goes_to_wechat_with_its_poster(
    operator,
    shop,
    at_wechat,
    private_storage,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    add = reverse("admin:events_mediafile_add")
    form = {"account": shop.pk, "title": "Tour", "upload": SimpleUploadedFile("t.mp4", MP4)}
    wide = io.BytesIO()
    Image.effect_noise((2000, 1000), 90).save(wide, "PNG")
    refused = operator.post(add, form | {"new_poster": SimpleUploadedFile("p.png", b"<svg>")})
    assert "new_poster" in refused.context["adminform"].form.errors
    form["upload"].seek(0)
    poster = SimpleUploadedFile("p.png", picture("PNG"))
    assert operator.post(add, form | {"new_poster": poster}).status_code == 302
    video = MediaFile.objects.get()
    first = video.poster.name
    change = reverse("admin:events_mediafile_change", args=[video.pk])
    form = {"title": "Tour", "new_poster": SimpleUploadedFile("p.png", wide.getvalue())}
    with django_capture_on_commit_callbacks(execute=True):
        assert operator.post(change, form).status_code == 302
    video.refresh_from_db()
    assert (private_storage / video.poster.name).exists()
    assert not (private_storage / first).exists()
    shown = reverse("admin:events_mediafile_poster", args=[video.pk])
    assert f'poster="{shown}"' in operator.get(change).content.decode()
    answer = operator.get(shown)
    assert answer["Content-Type"] == "image/jpeg"
    assert look_at(b"".join(answer.streaming_content)).kind == "image"

    follower = follows(at_wechat, shop)
    may_be_written_to(shop, at_wechat)
    send_message(follower, message_of_file(video))
    send_next()
    sent = at_wechat.sent[-1].body["video"]
    video.refresh_from_db()
    assert sent == {
        "media_id": video.media_id,
        "thumb_media_id": video.thumb_media_id,
        "title": "Tour",
        "description": "",
    }
    thumb = at_wechat.media[sent["thumb_media_id"]]
    assert thumb.kind == "thumb"
    assert len(thumb.data) <= LIMITS["thumb"]
    assert look_at(thumb.data).content_type == "image/jpeg"

    with django_capture_on_commit_callbacks(execute=True):
        operator.post(reverse("admin:events_mediafile_delete", args=[video.pk]), {"post": "yes"})
    assert list((private_storage / "media").iterdir()) == []


@pytest.mark.parametrize("upload", [send_files, send_next])
def test_a_poster_that_is_changed_during_the_upload_of_the_former_one_is_uploaded_too(
    shop,
    at_wechat,
    private_storage,  # noqa: F811
    monkeypatch,
    upload,
):
    video = add_file(shop, "Tour", MP4, by=None)
    former, present = prepared_poster(picture()), prepared_poster(picture(colour="blue"))
    set_poster(video, former)
    if upload is send_files:
        MediaFile.objects.update(due_at=timezone.now())
    else:
        follower = follows(at_wechat, shop)
        may_be_written_to(shop, at_wechat)
        send_message(follower, message_of_file(video))
    posters = [present]
    content_of = lend._content

    def read_and_change(name):
        content = content_of(name)
        if content == former and posters:
            set_poster(MediaFile.objects.get(), posters.pop())
        return content

    monkeypatch.setattr(lend, "_content", read_and_change)
    upload()
    assert posters == []
    MediaFile.objects.filter(media_id="").update(due_at=timezone.now())
    send_files()
    video.refresh_from_db()
    assert at_wechat.media[video.thumb_media_id].data == present


def test_a_video_without_a_poster_goes_to_wechat_alone(shop, at_wechat, private_storage):  # noqa: F811
    video = add_file(shop, "Tour", MP4, by=None)
    follower = follows(at_wechat, shop)
    may_be_written_to(shop, at_wechat)
    send_message(follower, message_of_file(video))
    send_next()
    assert "thumb_media_id" not in at_wechat.sent[-1].body["video"]


def test_only_a_video_has_a_poster(operator, shop, private_storage):  # noqa: F811
    form = {"account": shop.pk, "title": "Map"}
    for name in ("upload", "new_poster"):
        form[name] = SimpleUploadedFile("p.png", picture())
    refused = operator.post(reverse("admin:events_mediafile_add"), form)
    assert "new_poster" in refused.context["adminform"].form.errors
    image = add_file(shop, "Map", picture(), by=None)
    page = operator.get(reverse("admin:events_mediafile_change", args=[image.pk]))
    assert 'name="new_poster"' not in page.content.decode()
    assert (
        operator.get(reverse("admin:events_mediafile_poster", args=[image.pk])).status_code == 404
    )


def test_an_agent_sends_a_file_from_the_inbox(operator, shop, at_wechat, image):
    follows(at_wechat, shop)
    push(shop, message_xml("text", openid=FOLLOWER, Content="hello", MsgId=3))
    update_statistics()
    talk = Conversation.objects.get()
    page = reverse("admin:subscribers_conversation_change", args=[talk.pk])
    assert f'value="library:{image.pk}"' in operator.get(page).content.decode()
    write = reverse("admin:subscribers_conversation_write", args=[talk.pk])
    assert operator.post(write, {"file": reference(image.pk)}).status_code == 302
    assert OutgoingMessage.objects.get().payload["media_id"] == reference(image.pk)
    assert (
        reverse("admin:events_mediafile_file", args=[image.pk])
        in operator.get(page).content.decode()
    )


def test_a_thumbnail_is_a_picture_of_the_library(shop, at_wechat, image):
    rule = make_rule(shop, "text", key="song", content="x")
    rule.answers = [
        {"kind": "music", "url": "https://x.example/1.mp3", "thumb_media_id": reference(image.pk)}
    ]
    rule.save()
    publish(shop.pk, user=None)
    follows(at_wechat, shop)
    assert keep_fresh() == 1
    send_files()
    image.refresh_from_db()
    answer = push(shop, message_xml("text", openid=FOLLOWER, Content="song", MsgId=1))
    assert reply_in(answer, shop)["Music"]["ThumbMediaId"] == image.media_id


def test_without_an_app_secret_no_file_is_waited_for():
    bare = make_account()
    follows(None, bare)
    push(bare, message_xml("image", openid=FOLLOWER, MediaId="m", MsgId=10, PicUrl="http://x/p"))
    update_statistics()
    assert not ReceivedMedia.objects.exists()


@pytest.mark.parametrize("written", ["library:²", "library:" + "9" * 30, "library:-1", "library:"])
def test_what_only_looks_like_a_reference_names_no_file(shop, written):
    assert file_of(written, shop.pk) is None
    answers = [{"kind": "image", "media_id": written}]
    RuleVersion.objects.create(account=shop, rules=[{"answers": answers}])
    assert used_in_rules() == {shop.pk: set()}
    assert keep_fresh() == 0
