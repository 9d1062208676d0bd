"""Gives every account of this site two reply rules and its followers; runs as its own process."""

from __future__ import annotations

import os
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from events.models import OfficialAccount  # noqa: E402
from events.testing import make_rule  # noqa: E402
from subscribers.models import Subscriber  # noqa: E402

for account in OfficialAccount.objects.all():
    for kind, key in [("event.click", os.environ["CLICK_KEY"]), ("text", os.environ["TEXT"])]:
        make_rule(account, kind, key, "每天 10:00–22:00，节假日照常营业。")
    Subscriber.objects.bulk_create(
        (
            Subscriber(account=account, openid=openid, updated_at=timezone.now())
            for openid in Path(os.environ["FOLLOWERS"]).read_text().split()
        ),
        batch_size=1000,
    )
