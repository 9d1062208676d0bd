"""The databases of the contestants: each contestant has its own, on the same server or disk."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.processor_time import parent_of, tree_seconds

__all__ = ["PostgreSQL", "SQLite", "Server"]


class Server(ABC):
    """A kind of database, with room for a database for each contestant."""

    vendor: str
    """Django's name for it."""

    title: str
    """Its name for people."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Name and version for the report."""

    @property
    @abstractmethod
    def file_system(self) -> str:
        """The file system of its files, for the report, since nothing is durable on tmpfs."""

    @abstractmethod
    def create(self, name: str) -> str:
        """Makes an empty database and returns its DATABASE_URL."""

    @abstractmethod
    def query(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""

    @abstractmethod
    def seconds(self) -> float:
        """The processor time of the server's own processes."""

    @abstractmethod
    def unix_time(self, column: str) -> str:
        """The SQL for a time column in Unix seconds."""

    @abstractmethod
    def close(self) -> None:
        """Removes the databases."""


class SQLite(Server):
    """Files in a folder. SQLite works inside the web processes and has no time of its own."""

    vendor = "sqlite"
    title = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    @property
    def file_system(self) -> str:
        return _file_system(str(self._folder))

    def create(self, name: str) -> str:
        return f"sqlite:///{self._path(name)}"

    def query(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._path(name))
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def seconds(self) -> float:
        return 0.0

    def unix_time(self, column: str) -> str:
        return f"CAST(strftime('%s', {column}) AS INTEGER)"

    def close(self) -> None:
        pass  # the caller gave the folder, and removes it

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite3"


class PostgreSQL(Server):
    """Databases beside the one that `url` names, on the same server, which must be on this machine.

    The server's processes serve all contestants. Work that the server does later for one of them
    (checkpoint, autovacuum) counts for the contestant that is measured then.
    """

    vendor = "postgresql"
    title = "PostgreSQL"

    def __init__(self, url: str) -> None:
        self._url = url
        self._created: list[str] = []
        with psycopg.connect(url) as connection:
            self._postmaster = parent_of(connection.info.backend_pid)

    @property
    def version(self) -> str:
        [[version]] = self._run(self._url, "SHOW server_version")
        return f"PostgreSQL {version}"

    @property
    def file_system(self) -> str:
        [[folder]] = self._run(self._url, "SHOW data_directory")
        return _file_system(folder)

    def create(self, name: str) -> str:
        self._run(self._url, f"DROP DATABASE IF EXISTS bench_{name} WITH (FORCE)")
        self._run(self._url, f"CREATE DATABASE bench_{name}")
        self._created.append(name)
        return self._url_of(name)

    def query(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        return self._run(self._url_of(name), sql)

    def seconds(self) -> float:
        return tree_seconds(self._postmaster)

    def unix_time(self, column: str) -> str:
        return f"EXTRACT(epoch FROM {column})::bigint"

    def close(self) -> None:
        for name in self._created:
            self._run(self._url, f"DROP DATABASE IF EXISTS bench_{name} WITH (FORCE)")

    def _url_of(self, name: str) -> str:
        return re.sub(r"/[^/]*$", f"/bench_{name}", self._url)

    def _run(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


def _file_system(folder: str) -> str:
    command = ["stat", "--file-system", "--format", "%T", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "an unknown file system"
