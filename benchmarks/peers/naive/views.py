"""The callback of the naive peer: checks, decrypts, stores and answers a push."""

from __future__ import annotations

import datetime
import os

from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

from naive.models import EventLog, Subscriber

TOKEN = os.environ["WECHAT_TOKEN"]
AES_KEY = os.environ["WECHAT_AES_KEY"]
APP_ID = os.environ["WECHAT_APP_ID"]


@csrf_exempt
def callback(request):
    timestamp = request.GET.get("timestamp", "")
    nonce = request.GET.get("nonce", "")
    try:
        check_signature(TOKEN, request.GET.get("signature", ""), timestamp, nonce)
    except InvalidSignatureException:
        return HttpResponse(status=403)
    if request.method == "GET":
        return HttpResponse(request.GET.get("echostr", ""))

    body = request.body
    crypto = None
    if request.GET.get("encrypt_type") == "aes":
        crypto = WeChatCrypto(TOKEN, AES_KEY, APP_ID)
        body = crypto.decrypt_message(body, request.GET["msg_signature"], timestamp, nonce)
    message = parse_message(body)
    store(message, body)
    text = reply_to(message)
    if text is None:
        return HttpResponse("success")
    xml = create_reply(text, message).render()
    if crypto:
        xml = crypto.encrypt_message(xml, nonce, timestamp)
    return HttpResponse(xml, content_type="application/xml")


def store(message, body):
    at = message.create_time.astimezone(datetime.UTC)
    event = getattr(message, "event", "")
    EventLog.objects.create(
        openid=message.source,
        msg_type=message.type,
        event=event,
        event_key=getattr(message, "key", getattr(message, "url", "")) or "",
        msg_id=str(message.id or ""),
        create_time=at,
        raw=body if isinstance(body, str) else body.decode(),
    )
    subscriber, _ = Subscriber.objects.get_or_create(openid=message.source)
    subscriber.last_seen_at = at
    if event in {"subscribe", "subscribe_scan"}:
        subscriber.is_following = True
        subscriber.followed_at = at
    elif event == "unsubscribe":
        subscriber.is_following = False
        subscriber.unfollowed_at = at
    subscriber.save()


def reply_to(message):
    if message.type == "text" and message.content == os.environ["TEXT"]:
        return "每天 10:00–22:00，节假日照常营业。"
    if getattr(message, "event", "") == "click" and message.key == os.environ["CLICK_KEY"]:
        return "客服电话：021-5555 0000，每天 9:00–21:00。"
    return None
