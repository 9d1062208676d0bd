"""The command `restore`: restores a site from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.audit.record import record
from wechat_site.backup import BackupError, Manifest, read_manifest, restore
from wechat_site.serving.supervisor import hold_database


class Command(BaseCommand):
    help = (
        "Brings a backup back to the database of DATABASE_URL, the folder of EVENT_ARCHIVE_DIR "
        "and the private files, while no site runs there. Every digest is checked first, the "
        "number of rows afterwards; then `migrate` runs."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--check", action="store_true", help="verifies the file and changes nothing"
        )
        parser.add_argument(
            "--replace",
            action="store_true",
            help="replaces the present database and private files",
        )
        parser.add_argument(
            "--inactive",
            action="store_true",
            help="switches every account off: for a copy beside the running site, which must not "
            "send messages a second time",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        file = options["file"]
        try:
            if options["check"]:
                self._say(read_manifest(file), "Whole")
                return
            with hold_database():
                restored = restore(file, replace=options["replace"], inactive=options["inactive"])
                call_command("migrate", verbosity=0)
                taken_at = restored.manifest.taken_at
                record("restore", details={"file": file.name, "taken_at": taken_at})
        except BackupError as error:
            raise CommandError(str(error)) from error
        self._say(restored.manifest, "Restored")
        if restored.missing_keys:
            self.stderr.write(
                "FIELD_ENCRYPTION_KEYS lacks the keys with these fingerprints, so some secrets "
                f"cannot be read: {', '.join(restored.missing_keys)}"
            )
        if restored.left_archives:
            self.stderr.write(
                f"{restored.left_archives} archives stay in the file: set EVENT_ARCHIVE_DIR."
            )
        self.stdout.write("Try it: manage.py rebuild_subscribers --check")

    def _say(self, manifest: Manifest, what: str) -> None:
        self.stdout.write(
            f"{what}: {manifest.engine} {manifest.server_version}, taken at {manifest.taken_at}, "
            f"{sum(manifest.rows.values())} rows of {len(manifest.rows)} tables, "
            f"{len(manifest.archives)} archives, {len(manifest.files)} files."
        )
