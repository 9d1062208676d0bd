"""A backup that is taken while pushes come, brought back to another database and another port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile

import psycopg
import pytest

from wechat_site.tests.launch import ROOT
from wechat_site.tests.site import LIMIT, Site, check_nothing_lost, database_of_its_own

pytestmark = pytest.mark.slow


def test_a_backup_under_load_has_all_that_was_acknowledged_before(site: Site, tmp_path):
    site.environment["EVENT_ARCHIVE_DIR"] = str(tmp_path / "archive")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "events-2026-01.json").write_text("{}")
    site.environment["PRIVATE_FILES_DIR"] = str(tmp_path / "files")
    (tmp_path / "files" / "media").mkdir(parents=True)
    (tmp_path / "files" / "media" / "image.png").write_bytes(b"picture")
    site.start_web()
    traffic = site.start(*site.simulation("--forever", "--rate", "300"))
    site.wait_for_acknowledgements(300)
    acknowledged = site.acknowledged.read_text().splitlines(keepends=True)
    file = tmp_path / "backups" / "site.tar"
    said = site.manage("backup", str(file))
    site.wait_for_acknowledgements(100)
    traffic.send_signal(signal.SIGTERM)
    assert traffic.wait(timeout=LIMIT) == 0
    site.stop()

    assert file.stat().st_mode & 0o077 == 0
    assert "Not in it: SECRET_KEY and FIELD_ENCRYPTION_KEYS" in said
    assert said.splitlines()[-1].endswith(f"  {file}")
    assert os.listdir(file.parent) == [file.name]
    with tarfile.open(file) as tar:
        assert [name.partition("/")[0] for name in tar.getnames()] == [
            "manifest.json",
            "database.dump" if site.is_postgres else "database.sqlite3.gz",
            "archives",
            "files",
        ]
    assert "exists already" in failure(site, "backup", str(file))

    damaged = tmp_path / "damaged.tar"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert "is not what its manifest says" in failure(site, "restore", "--check", str(damaged))
    assert "Whole" in site.manage("restore", "--check", str(file))

    elsewhere = tmp_path / "another place"
    elsewhere.mkdir()
    with database_of_its_own(elsewhere) as url:
        other = Site(url, elsewhere, EVENT_ARCHIVE_DIR=str(elsewhere / "archive"))
        try:
            bring_back_and_receive(other, file, acknowledged)
        finally:
            other.stop()


def bring_back_and_receive(site: Site, file, acknowledged):
    site.manage("restore", str(file))
    site.acknowledged.write_text("".join(acknowledged))
    before = len(check_nothing_lost(site))
    assert before >= len(acknowledged)
    assert (site.acknowledged.parent / "archive" / "events-2026-01.json").read_text() == "{}"
    picture = site.acknowledged.parent / "files" / "media" / "image.png"
    assert picture.read_bytes() == b"picture"
    orphan = picture.with_name("of a row that is gone.png")
    orphan.write_bytes(b"x")

    site.start_web()
    assert site.manage(*site.simulation("--count", "20", "--seed", "after")[1:])
    site.stop()
    site.processes.clear()
    assert len(check_nothing_lost(site)) > before

    assert "--replace" in failure(site, "restore", str(file))
    if site.is_postgres:
        fail_after_a_killed_restore(site, file)
        assert len(check_nothing_lost(site)) > before
    site.environment["FIELD_ENCRYPTION_KEYS"] = "bm90LXRoZS1rZXktb2YtdGhlLWJhY2t1cC1hdC1hbGw="
    site.manage("restore", "--replace", "--inactive", str(file))
    assert len(site.rows()) == before
    assert os.listdir(picture.parent) == ["image.png"]
    code = (
        "import json; from events.models import *; print(json.dumps(["
        "list(OfficialAccount.objects.values_list('is_active', flat=True)),"
        "list(AuditEntry.objects.filter(act='restore').values_list('way', flat=True))]))"
    )
    assert json.loads(site.manage("shell", "-v0", "-c", code)) == [[False], ["command"]]


def fail_after_a_killed_restore(site: Site, file):
    """Leaves the database as a killed restore does, and has the next one fail too."""
    with psycopg.connect(site.environment["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ALTER SCHEMA public RENAME TO before_restore")
        connection.execute("CREATE SCHEMA public")
    assert "--replace" in failure(site, "restore", str(file))
    programs = site.log.parent / "programs"
    programs.mkdir()
    broken = programs / "pg_restore"
    broken.write_text('#!/bin/sh\n[ "$1" = --list ] && exit\necho "out of memory" >&2; exit 1\n')
    broken.chmod(0o755)
    path = site.environment["PATH"]
    site.environment["PATH"] = f"{programs}:{path}"
    assert "out of memory" in failure(site, "restore", "--replace", str(file))
    site.environment["PATH"] = path


def failure(site: Site, *arguments: str) -> str:
    """What a command says that refuses."""
    result = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert result.returncode == 1, result.stderr
    return result.stderr
