"""The private files of a backup: held while the site runs, and brought back."""

from __future__ import annotations

import tarfile

import pytest
from django.core.files.base import ContentFile

from events.models import private_files
from wechat_site.backup import BackupError, Manifest
from wechat_site.backup.files import hold_files, remove_others, restore_files
from wechat_site.backup.manifest import Member, digest
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = pytest.mark.any_database


def test_files_are_held_and_brought_back(private_storage, tmp_path):  # noqa: F811
    assert hold_files(tmp_path / "none") == {}
    contents = {"media/image.png": b"a picture", "exports/all.csv": b"1,2"}
    for name, content in contents.items():
        private_files().save(name, ContentFile(content))
    held = hold_files(tmp_path / "held")
    assert {path: place.read_bytes() for path, place in held.items()} == {
        f"files/{name}": content for name, content in contents.items()
    }
    file = tmp_path / "backup.tar"
    members = []
    with tarfile.open(file, "w") as tar:
        for path, place in held.items():
            tar.add(place, path)
            with place.open("rb") as stream:
                members.append(Member(path, *digest(stream)))
    manifest = Manifest("", "sqlite", "", "", {}, {}, [], members)

    private_files().delete("media/image.png")
    private_files().save("received/later.amr", ContentFile(b"x"))
    restore_files(file, manifest)
    remove_others(manifest)
    assert hold_files(tmp_path / "again").keys() == held.keys()
    with private_files().open("media/image.png") as stream:
        assert stream.read() == b"a picture"

    private_files().delete("media/image.png")
    private_files().save("media/image.png", ContentFile(b"another"))
    with pytest.raises(BackupError, match=r"image\.png differs"):
        restore_files(file, manifest)
