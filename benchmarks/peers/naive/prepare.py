"""Adds the followers, so that a follower's first push costs no more than the others."""

from __future__ import annotations

import os
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "naive.settings")
django.setup()

from naive.models import Subscriber  # noqa: E402

Subscriber.objects.bulk_create(
    (Subscriber(openid=openid) for openid in Path(os.environ["FOLLOWERS"]).read_text().split()),
    batch_size=1000,
)
