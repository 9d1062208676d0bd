"""Imports go one way: wechat_site → subscribers → events → events.wechat, which knows no Django."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from wechat_site.tests.launch import ROOT

pytestmark = pytest.mark.any_database

# What each part must not import, tests included for all but the outermost.
FORBIDDEN = {
    "events/wechat": ("django", "rest_framework", "events", "subscribers", "wechat_site"),
    "events/simulator": ("django", "rest_framework", "subscribers", "wechat_site"),
    "events": ("subscribers", "wechat_site"),
    "subscribers": ("wechat_site",),
}
# The callback is tested as a whole, with what it does to followers.
WHOLE = {"events/tests/callback/test_callback.py", "events/tests/log/test_process.py"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def offences(part: str) -> list[str]:
    found = []
    for path in sorted((ROOT / part).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for module in imports(path):
            top = module.split(".")[0]
            if top in FORBIDDEN[part] and name not in WHOLE:
                if part == "events/wechat" and module.startswith("events.wechat"):
                    continue
                found.append(f"{name} imports {module}")
    return found


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_go_one_way(part):
    assert offences(part) == []


def test_the_protocol_loads_without_django():
    import subprocess
    import sys

    code = "import events.wechat, events.simulator, sys; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_walk_would_notice(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("from subscribers.models import Subscriber\nimport wechat_site.urls\n")
    assert list(imports(module)) == ["subscribers.models", "wechat_site.urls"]
