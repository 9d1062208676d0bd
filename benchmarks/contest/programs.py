"""Peers in other languages, as an engineer may choose them for speed."""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import abstractmethod
from pathlib import Path

from benchmarks.contest.contestant import Contestant
from benchmarks.contest.databases import Server
from events.wechat import SecurityMode

__all__ = ["PROGRAMS", "Go", "Node", "Program"]

_PEERS = Path(__file__).resolve().parents[1] / "peers"
# The folder in which Debian's packages of Go libraries have their source.
_GO_LIBRARIES = Path("/usr/share/gocode")


class Program(Contestant):
    """A program with the tables of peers/schema.sql on PostgreSQL."""

    is_light = True
    name: str
    title: str

    def __init__(self, *, folder: Path) -> None:
        super().__init__(self.name, self.title, folder=folder)
        self._server: Server | None = None
        self._url = ""

    @classmethod
    @abstractmethod
    def missing(cls) -> str:
        """A sentence on what it needs and does not find on this machine; "" if it can run."""

    def prepare(self, server: Server) -> None:
        self._server = server
        self._url = server.create(self.name)
        server.query(self.name, (_PEERS / "schema.sql").read_text())
        followers = Path(self._shared["FOLLOWERS"]).read_text().split()
        names = ", ".join(f"(1, '{openid}')" for openid in followers)
        server.query(self.name, f"INSERT INTO followers (account, openid) VALUES {names}")
        self._build()

    @abstractmethod
    def _build(self) -> None: ...

    def path(self, mode: SecurityMode) -> str:
        return "/wechat"

    def stored(self) -> int:
        assert self._server is not None
        [[count]] = self._server.query(self.name, "SELECT count(*) FROM events")
        return int(count)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self._url,
            "PORT": str(self.port),
            **self._shared,
        }


class Go(Program):
    """One process, which uses all processors."""

    name = "go"
    title = "Go: net/http, encoding/xml, lib/pq"

    @classmethod
    def missing(cls) -> str:
        if shutil.which("go") and (_GO_LIBRARIES / "src/github.com/lib/pq").is_dir():
            return ""
        return "Go or lib/pq is missing (Debian: golang-go, golang-github-lib-pq-dev)."

    @property
    def _program(self) -> Path:
        return self._folder / "go-peer"

    def _build(self) -> None:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME")},
            "GO111MODULE": "off",
            "GOPATH": str(_GO_LIBRARIES),
            "GOCACHE": str(self._folder / "go-cache"),
        }
        command = ("go", "build", "-o", str(self._program), ".")
        subprocess.run(command, cwd=self._directory, env=environment, check=True)

    def _command(self) -> list[str]:
        return [str(self._program)]

    @property
    def _directory(self) -> Path:
        return _PEERS / "go"


class Node(Program):
    """A process for each processor. If its packages are missing, npm installs them beside it."""

    name = "node"
    title = "Node: express, wechat, pg"

    @classmethod
    def missing(cls) -> str:
        if not shutil.which("node"):
            return "Node is missing (Debian: nodejs, npm)."
        if shutil.which("npm") or (_PEERS / "node/node_modules").is_dir():
            return ""
        return "npm is missing, which installs express, wechat and pg (Debian: npm)."

    def _build(self) -> None:
        if not (self._directory / "node_modules").is_dir():
            command = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent")
            subprocess.run(command, cwd=self._directory, check=True)

    def _command(self) -> list[str]:
        return ["node", "server.js"]

    @property
    def _directory(self) -> Path:
        return _PEERS / "node"


PROGRAMS: tuple[type[Program], ...] = (Go, Node)
