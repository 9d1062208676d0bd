"""Sets up, starts and stops a contestant: a site that takes pushes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contest.databases import Server
from benchmarks.contest.load import APP_ID, CLICK_KEY, CREDENTIALS, HOST, TEXT
from benchmarks.processor_time import tree_seconds
from events.wechat import SecurityMode

__all__ = ["Contestant"]

_SECRETS = {
    "WECHAT_TOKEN": CREDENTIALS.tokens[0],
    "WECHAT_AES_KEY": CREDENTIALS.aes_keys[0],
    "WECHAT_APP_ID": APP_ID,
    "CLICK_KEY": CLICK_KEY,
    "TEXT": TEXT,
}


class Contestant(ABC):
    """A site with a database of its own. `title` names it in the report.

    Every contestant knows the followers in the file `folder/followers` before it is measured. A
    slow site meets few of them twice, so otherwise its adding of followers would be measured.
    """

    modes: Sequence[SecurityMode] = (SecurityMode.PLAINTEXT,)
    """The security modes in which it is measured."""

    is_light = False
    """Whether it is also measured with few connections."""

    def __init__(self, name: str, title: str, *, folder: Path) -> None:
        self.name = name
        self.title = title
        self._shared = {**_SECRETS, "FOLLOWERS": str(folder / "followers")}
        self._folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self, server: Server) -> None:
        """Makes the database and its contents."""

    @abstractmethod
    def path(self, mode: SecurityMode) -> str:
        """The callback's path for pushes in this mode."""

    @abstractmethod
    def stored(self) -> int | None:
        """The number of rows in its log; None if it stores nothing."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _environment(self) -> dict[str, str]: ...

    @property
    @abstractmethod
    def _directory(self) -> Path: ...

    def seconds(self) -> float:
        """The processor time of its web processes."""
        assert self._process is not None
        return tree_seconds(self._process.pid)

    @property
    def log(self) -> Path:
        """The file with the output of its processes."""
        return self._folder / f"{self.name}.log"

    def start(self) -> None:
        """Starts the web server and waits until it answers; raises RuntimeError if it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._directory,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                # Any answer will do, since no site has this path.
                urllib.request.urlopen(
                    urllib.request.Request(
                        f"http://127.0.0.1:{self.port}/wechat/-/", headers={"Host": HOST}
                    ),
                    timeout=5,
                ).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                return
            except OSError:
                time.sleep(0.1)
                continue
            return
        raise RuntimeError(f"{self.title} does not answer:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Ends all its processes."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _run(self, *command: str) -> str:
        result = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(f"{self.title}: {' '.join(command)}\n{result.stdout}{result.stderr}")
        return result.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
