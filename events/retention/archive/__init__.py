"""Archives of the log, month by month, as files that can be restored.

An archive is a gzip file with one JSON object per row and line, and beside it a manifest that names
the file, its digests and what is in it. The manifest is written last and takes effect by its
rename, so the file it names is complete; the file's name contains its digest, so a new archive of
a month never touches the one before. Rows of a month that arrive after its removal are the month's
next part, with a manifest of its own.

Columns stand under their own names: times in ISO 8601 with microseconds, the body in base64. The
format needs nothing but gunzip and a JSON reader.
"""

from __future__ import annotations

from events.retention.archive.error import ArchiveError
from events.retention.archive.manifest import Archive, archives, find
from events.retention.archive.records import batched, event_of
from events.retention.archive.restore import restore
from events.retention.archive.write import closed_months, ensure_archived, replace_records

__all__ = [
    "Archive",
    "ArchiveError",
    "archives",
    "batched",
    "closed_months",
    "ensure_archived",
    "event_of",
    "find",
    "replace_records",
    "restore",
]
