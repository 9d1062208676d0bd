"""Webhooks: sending events to other systems."""

from __future__ import annotations

from wechat_site.settings.environment import env

# Days for which deliveries to webhooks are kept, so that users can see them and send them again.
WEBHOOK_RETENTION_DAYS = env.int("WEBHOOK_RETENTION_DAYS", default=30)
# Seconds in which a webhook must answer.
WEBHOOK_SECONDS: float = env.float("WEBHOOK_SECONDS", default=10)
# Whether webhooks may go to private, loopback and link-local addresses, as in the site's network.
WEBHOOK_PRIVATE_ADDRESSES = env.bool("WEBHOOK_PRIVATE_ADDRESSES", default=False)
