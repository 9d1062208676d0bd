"""How long the site keeps events, bodies, people who left, and audit entries."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import env

# Days for which events are kept. 0: for ever.
EVENT_RETENTION_DAYS: int | None = env.int("EVENT_RETENTION_DAYS", default=0) or None
# A folder for archives. If it is set, retention writes old events there before it removes them.
_archive_dir = env.str("EVENT_ARCHIVE_DIR", default="")
EVENT_ARCHIVE_DIR: Path | None = Path(_archive_dir) if _archive_dir else None
# Days after which bodies of events and texts of messages are emptied. The followers' state, all
# numbers, and the kind and time of each event stay. 0: never.
EVENT_BODY_RETENTION_DAYS: int | None = env.int("EVENT_BODY_RETENTION_DAYS", default=0) or None
# Days after which the worker erases a person who unfollowed. 0: never.
ERASE_UNFOLLOWED_DAYS: int | None = env.int("ERASE_UNFOLLOWED_DAYS", default=0) or None
# Days for which audit entries are kept. 0: for ever. Chinese law requires six months of such logs
# (网络安全法 art. 21).
AUDIT_RETENTION_DAYS: int | None = env.int("AUDIT_RETENTION_DAYS", default=1095) or None
if AUDIT_RETENTION_DAYS is not None and AUDIT_RETENTION_DAYS < 183:
    raise ImproperlyConfigured("AUDIT_RETENTION_DAYS must be at least 183, or 0 for ever.")
