"""Reads and checks what a backup says of itself: `manifest.json`, the first member of its tar file.

The members are plain files: `database.sqlite3.gz`, or `database.dump` in pg_dump's custom format;
`archives/…` as they are in EVENT_ARCHIVE_DIR; `files/…` as the storage of private files names them;
`keys.env` if keys were wanted. So tar, gunzip and pg_restore can read a backup without this
program.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

__all__ = [
    "FILES", "KEYS", "MANIFEST", "BackupError", "Manifest", "Member", "digest", "fingerprint",
    "read_manifest",
]  # fmt: skip

MANIFEST = "manifest.json"
KEYS = "keys.env"
FILES = "files/"
_FORMAT = 1
_PIECE = 1 << 20


class BackupError(Exception):
    """A backup cannot be made, read or restored; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup; `sha256` is the digest of its bytes in the tar file."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    `engine` is sqlite or postgresql. `rows` has the number of rows of each table, `migrations` the
    latest migration of each app. `keys` has the fingerprints of the FIELD_ENCRYPTION_KEYS that a
    restored site needs.
    """

    taken_at: str
    engine: str
    server_version: str
    database: str
    rows: Mapping[str, int]
    migrations: Mapping[str, str]
    keys: Sequence[str]
    members: Sequence[Member]
    format: int = _FORMAT

    @property
    def archives(self) -> list[Member]:
        return [member for member in self.members if member.path.startswith("archives/")]

    @property
    def files(self) -> list[Member]:
        return [member for member in self.members if member.path.startswith(FILES)]

    def as_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def read_manifest(path: Path) -> Manifest:
    """The manifest of a backup. Raises BackupError unless every member is there, byte for byte."""
    try:
        with tarfile.open(path) as tar:
            manifest = _parse(tar)
            _check(tar, manifest)
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{path} cannot be read: {error}") from error
    return manifest


def digest(stream: IO[bytes]) -> tuple[int, str]:
    """The number of bytes in a stream, and their SHA-256."""
    number, sha256 = 0, hashlib.sha256()
    while piece := stream.read(_PIECE):
        number += len(piece)
        sha256.update(piece)
    return number, sha256.hexdigest()


def fingerprint(key: str) -> str:
    """A name for a key that does not reveal the key."""
    return hashlib.sha256(f"wechat-site key {key}".encode()).hexdigest()[:12]


def _parse(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    stream = tar.extractfile(first) if first is not None and first.name == MANIFEST else None
    if stream is None:
        raise BackupError("This is not a backup of a site: it does not begin with a manifest.")
    try:
        read: dict[str, Any] = json.load(stream)
        if read["format"] != _FORMAT:
            raise BackupError("A newer version of this site made this backup: use that version.")
        read["members"] = [Member(**member) for member in read["members"]]
        manifest = Manifest(**read)
    except (ValueError, TypeError, KeyError) as error:
        raise BackupError(f"The manifest cannot be read: {error!r}") from error
    for member in manifest.members:
        place = PurePosixPath(member.path)
        if place.is_absolute() or ".." in place.parts:
            raise BackupError(f"The manifest names a file outside the backup: {member.path}")
    return manifest


def _check(tar: tarfile.TarFile, manifest: Manifest) -> None:
    for member in manifest.members:
        try:
            stream = tar.extractfile(member.path)
        except KeyError:
            stream = None
        if stream is None or digest(stream) != (member.bytes, member.sha256):
            raise BackupError(f"{member.path} in the backup is not what its manifest says.")
