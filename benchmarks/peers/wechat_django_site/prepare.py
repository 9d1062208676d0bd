"""Adds the account with its message log turned on, its followers, and the rules.

The log takes only messages that a rule takes.
"""

from __future__ import annotations

import os
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_django_site.settings")
django.setup()

from wechat_django.models import MessageHandler, MsgLogFlag, Reply, Rule, WeChatApp, WeChatUser  # noqa: E402

app = WeChatApp.objects.create(
    title="benchmark",
    name="benchmark",
    appid=os.environ["WECHAT_APP_ID"],
    token=os.environ["WECHAT_TOKEN"],
    flags=MsgLogFlag.LOG_MESSAGE,
)
WeChatUser.objects.bulk_create(
    (
        WeChatUser(app=app, openid=openid, subscribe=True)
        for openid in Path(os.environ["FOLLOWERS"]).read_text().split()
    ),
    batch_size=500,
)
for name, weight, rule, texts in [
    (
        "contact",
        2,
        Rule(type=Rule.Type.EVENTKEY, event="CLICK", key=os.environ["CLICK_KEY"]),
        ["客服电话：021-5555 0000，每天 9:00–21:00。"],
    ),
    (
        "hours",
        1,
        Rule(type=Rule.Type.EQUAL, pattern=os.environ["TEXT"]),
        ["每天 10:00–22:00，节假日照常营业。"],
    ),
    ("everything else", 0, Rule(type=Rule.Type.ALL), []),
]:
    MessageHandler.objects.create_handler(
        app=app,
        name=name,
        weight=weight,
        rules=[rule],
        replies=[Reply(type=Reply.MsgType.TEXT, content=text) for text in texts],
    )
