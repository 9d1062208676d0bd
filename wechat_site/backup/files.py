"""Private files in a backup: the media library, files that followers sent, exports."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from django.core.files import File

from events.models import private_files
from wechat_site.backup.manifest import FILES, BackupError, Manifest, Member, digest

__all__ = ["hold_files", "remove_others", "restore_files"]


def hold_files(folder: Path) -> dict[str, Path]:
    """Links or copies the files as they are now into `folder`; returns them by path in the backup.

    It leaves out a file that is removed meanwhile, because its row was removed before it.
    """
    held = {}
    for name in _names(""):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            _hold(name, place)
            held[FILES + name] = place
    return held


def restore_files(file: Path, manifest: Manifest) -> None:
    """Writes the files that are missing. Raises BackupError for a file that exists and differs."""
    storage = private_files()
    with tarfile.open(file) as tar:
        for member in manifest.files:
            name = member.path.removeprefix(FILES)
            if storage.exists(name):
                _compare(name, member)
                continue
            source = tar.extractfile(member.path)
            assert source is not None  # read_manifest() has verified it
            storage.save(name, File(source))


def remove_others(manifest: Manifest) -> None:
    """Removes files that the backup does not have: no row of the restored database names them.

    Does nothing for a backup without files.
    """
    kept = {member.path.removeprefix(FILES) for member in manifest.files}
    if kept:
        for name in [name for name in _names("") if name not in kept]:
            private_files().delete(name)


def _names(folder: str) -> Iterator[str]:
    try:
        folders, files = private_files().listdir(folder)
    except FileNotFoundError:
        return
    begin = f"{folder}/" if folder else ""
    yield from (begin + name for name in sorted(files))
    for name in sorted(folders):
        yield from _names(begin + name)


def _hold(name: str, place: Path) -> None:
    storage = private_files()
    with suppress(NotImplementedError, OSError):
        # A hard link takes no room, and is enough because a stored file never changes.
        os.link(storage.path(name), place)
        return
    with storage.open(name) as source, place.open("xb") as target:
        shutil.copyfileobj(source, target)


def _compare(name: str, member: Member) -> None:
    with private_files().open(name) as stream:
        if digest(stream)[1] != member.sha256:
            raise BackupError(
                f"The file {name} differs from the one in the backup. Move it away first."
            )
