"""The command `backup`: writes the whole site to one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from events.audit.record import record
from wechat_site.backup import BackupError, take
from wechat_site.backup.manifest import digest


class Command(BaseCommand):
    help = (
        "Writes the whole site to one new file while it runs: the database, the archives of "
        "EVENT_ARCHIVE_DIR and the private files, with digests of all. It has the keys only with "
        "--with-keys. Otherwise keep SECRET_KEY and FIELD_ENCRYPTION_KEYS elsewhere: without them "
        "the secrets are lost."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, help="the new file; {time} in it becomes 20261128T081500Z"
        )
        parser.add_argument(
            "--with-keys",
            action="store_true",
            help="includes the keys: anybody who has the file then has every secret of the site",
        )
        parser.add_argument(
            "--without-archives", action="store_true", help="leaves EVENT_ARCHIVE_DIR out"
        )

        parser.add_argument(
            "--without-files",
            action="store_true",
            help="leaves out the media library, what followers sent, and exports",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now().strftime("%Y%m%dT%H%M%SZ")
        file = Path(str(options["file"]).replace("{time}", now))
        try:
            manifest = take(
                file,
                with_keys=options["with_keys"],
                with_archives=not options["without_archives"],
                with_files=not options["without_files"],
            )
        except BackupError as error:
            raise CommandError(str(error)) from error
        with file.open("rb") as stream:
            size, sha256 = digest(stream)
        record("backup", details={"file": file.name, "sha256": sha256})
        rows = sum(manifest.rows.values())
        self.stdout.write(
            f"{rows} rows of {len(manifest.rows)} tables, {len(manifest.archives)} archives, "
            f"{len(manifest.files)} files, {size} bytes."
        )
        if not options["with_keys"]:
            self.stdout.write(
                "Not in it: SECRET_KEY and FIELD_ENCRYPTION_KEYS "
                f"({', '.join(manifest.keys)}). Keep them elsewhere."
            )
        # The format of sha256sum, which sha256sum --check can read.
        self.stdout.write(f"{sha256}  {file}")
