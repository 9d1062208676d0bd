"""How long what came is kept."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import env

# None keeps everything.
EVENT_RETENTION_DAYS: int | None = env.int("EVENT_RETENTION_DAYS", default=0) or None
# A folder for archives. When set, what is past retention is written there before it is removed.
_archive_dir = env.str("EVENT_ARCHIVE_DIR", default="")
EVENT_ARCHIVE_DIR: Path | None = Path(_archive_dir) if _archive_dir else None
# Days after which the bodies of events and the texts of messages are emptied; state, numbers and
# what happened when stay. Empty: never.
EVENT_BODY_RETENTION_DAYS: int | None = env.int("EVENT_BODY_RETENTION_DAYS", default=0) or None
# Days after which a person who unfollowed is erased. Empty: never by itself.
ERASE_UNFOLLOWED_DAYS: int | None = env.int("ERASE_UNFOLLOWED_DAYS", default=0) or None
# Days for which audit entries are kept. 0: for ever. Chinese law wants six months of such logs
# (网络安全法 art. 21).
AUDIT_RETENTION_DAYS: int | None = env.int("AUDIT_RETENTION_DAYS", default=1095) or None
if AUDIT_RETENTION_DAYS is not None and AUDIT_RETENTION_DAYS < 183:
    raise ImproperlyConfigured("AUDIT_RETENTION_DAYS must be at least 183, or 0 for ever.")
