"""Archives of the log, month by month, as files that can be restored.

An archive is a gzip file with one JSON object per line for each row, and a manifest beside it. The
manifest names the file, its digests and its contents. It is written last and takes effect by a
rename, so the file that it names is complete. The file's name contains its digest, so a new archive
of a month never changes the former one. Rows of a month that arrive after its removal form the
month's next part, which has its own manifest.

The JSON has the names of the columns: times in ISO 8601 with microseconds, the body in base64. To
read the format you need only gunzip and a JSON reader.
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
