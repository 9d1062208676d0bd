"""Two Official Accounts with a row of everything, whose words tell whose they are."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.core import serializers
from django.core.files.base import ContentFile
from django.utils import timezone

from events.audit.record import record
from events.models import (
    Alert,
    AlertLimits,
    AuditEntry,
    EventLog,
    LiveMenu,
    MenuVersion,
    MessageText,
    OfficialAccount,
    private_files,
)
from events.testing import make_account, make_rule, message_xml
from subscribers.models import (
    Binding,
    BindingRequest,
    BindingScan,
    BindingText,
    Conversation,
    Erasure,
    FollowerEdit,
    FollowerSync,
    OutgoingMessage,
    ProfileFetch,
    QRScene,
    ReceivedMedia,
    SavedAnswer,
    SeenScene,
    Segment,
    Subscriber,
    TagRead,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
    WeChatDay,
)

__all__ = ["Rows", "make_rows", "text_of"]


@dataclass
class Rows:
    """One account and its rows, by `app.model`."""

    account: OfficialAccount
    openid: str
    words: str
    rows: dict[str, Any] = field(default_factory=dict)

    @property
    def marks(self) -> list[str]:
        """What stands on a page that shows anything of this account."""
        return [self.account.name, self.openid, self.words, f"{self.account.slug}-poster"]

    def fingerprint(self) -> str:
        """All that is stored of this account, but for the audit list, which notes each look."""
        models = {type(row) for row in self.rows.values()} - {OfficialAccount, AuditEntry}
        stored = [OfficialAccount.objects.filter(pk=self.account.pk)]
        stored += [m._base_manager.filter(account=self.account).order_by("pk") for m in models]
        return "".join(serializers.serialize("json", rows) for rows in stored)


def make_rows(slug: str, name: str, openid: str, words: str) -> Rows:
    account = make_account(slug, mode="plaintext", name=name)
    now = timezone.now()
    user = User.objects.create_user(f"customer-of-{slug}")
    subscriber = Subscriber.objects.create(
        account=account,
        openid=openid,
        last_followed_at=now,
        updated_at=now,
        remark=f"{words}-remark",
        # The same person under all accounts.
        unionid="union-of-all",
    )
    event = EventLog.objects.create(
        account=account,
        dedup_key=slug,
        source=EventLog.Source.CALLBACK,
        msg_type="text",
        kind="text",
        from_user=openid,
        openid=openid,
        event_time=now,
        received_at=now,
        last_delivered_at=now,
        raw=message_xml("text", openid=openid, Content=words, MsgId=1),
        reply=f"<xml><MsgType>text</MsgType><Content>{words}-reply</Content></xml>",
        error=f"ValueError: {words}",
        status=EventLog.Status.FAILED,
        processed_at=now,
    )
    version = MenuVersion.objects.create(
        account=account,
        menu={"button": [{"type": "click", "name": f"{words}-menu"[:16], "key": f"K-{slug}"}]},
        due_at=None,
        published_at=now,
    )
    binding = Binding.objects.create(
        account=account, subscriber=subscriber, user=user, bound_at=now, event_id=1, event_time=now
    )
    request = BindingRequest.objects.create(
        account=account,
        user=user,
        scene_digest=slug,
        scene="bind-x",
        url="https://weixin.example/q/secret",
        created_at=now,
        expires_at=now + datetime.timedelta(minutes=10),
        due_at=None,
    )
    conversation = Conversation.objects.create(
        account=account, subscriber=subscriber, last_at=now, last_kind="text", last_text=words
    )
    webhook = WebhookEndpoint.objects.create(
        account=account, url=f"https://{slug}-poster.example/", types=["event.*"], secret="s"
    )
    told = WebhookMessage.objects.create(
        account=account, type="event.click", openid=openid, body=f"{words}-sent {openid}"
    )
    made = [
        webhook,
        WebhookDelivery.objects.create(account=account, endpoint=webhook, message=told),
        account,
        subscriber,
        event,
        version,
        binding,
        request,
        LiveMenu.objects.create(account=account, version=version, due_at=None),
        make_rule(account, "text", key=f"{slug}-poster", content="Good day"),
        QRScene.objects.create(
            account=account,
            scene=f"{slug}-poster",
            name=f"{slug}-poster",
            ticket="t",
            url="https://weixin.example/q/t",
            due_at=None,
        ),
        SeenScene.objects.create(account=account, scene=f"{slug}-poster-2", first_seen_at=now),
        WeChatDay.objects.create(
            account=account, date=now.date(), new=1, cancelled=0, cumulative=1, fetched_at=now
        ),
        Alert.objects.create(
            account=account,
            rule="dead",
            level="late",
            details={"number": 1},
            began_at=now,
            last_seen_at=now,
        ),
        AlertLimits.objects.create(account=account, limits={"refusals": 50}),
        FollowerSync.objects.create(account=account, origin="schedule", requested_at=now),
        ProfileFetch.objects.create(account=account),
        OutgoingMessage.objects.create(
            account=account,
            subscriber=subscriber,
            kind="text",
            payload={"content": f"{words}-sent"},
            window_until=now,
            created_at=now,
            state="failed",
            failure="not_following",
            due_at=None,
        ),
        Erasure.objects.create(
            account=account,
            openid_digest=slug,
            pseudonym=f"{slug}-poster-gone",
            reason="requested",
            requested_at=now,
            due_at=None,
        ),
        conversation,
        BindingText.objects.create(account=account, occasion="bound", text=f"{slug}-poster"),
        # The page of a file is below conversations and has the file's number.
        ReceivedMedia.objects.create(
            pk=conversation.pk,
            account=account,
            subscriber=subscriber,
            event_id=event.pk,
            event_time=now,
            kind="image",
            file=private_files().save("received/picture.png", ContentFile(b"picture")),
            content_type="image/png",
            poster=private_files().save("received/poster.png", ContentFile(b"picture")),
            due_at=None,
        ),
        SavedAnswer.objects.create(account=account, title=f"{slug}-poster", text=words),
        FollowerEdit.objects.create(
            account=account, act="tag", tag_name=f"{slug}-poster", people=[subscriber.pk]
        ),
        TagRead.objects.create(account=account),
        Segment.objects.create(
            account=account, name=f"{slug}-poster", conditions={"following": "yes"}
        ),
        MessageText.objects.create(
            account=account,
            said="f",
            source_id=event.pk,
            event_time=now,
            openid=openid,
            content=words,
        ),
        BindingScan.objects.create(
            account=account,
            subscriber=subscriber,
            request=request,
            event_id=1,
            event_time=now,
            outcome="bound",
        ),
    ]
    made.append(record("change", account, name=f"{slug}-poster"))
    rows = {row._meta.label_lower: row for row in made}
    return Rows(account, openid, words, rows)


def text_of(response: Any) -> str:
    """The text of an answer, streamed or not."""
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode("utf-8", errors="replace"))
