"""The wire and the simulator know no Django. Layers are declared in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wechat_site.tests.launch import ROOT

pytestmark = [pytest.mark.any_database, pytest.mark.slow]


def test_the_wire_and_the_simulator_load_without_django():
    code = "import events.wechat, events.simulator, sys; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_garbage_is_collected_once_all_is_loaded():
    code = "import gc, wechat_site.wsgi; print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    run = [sys.executable, "-c", code]
    said = subprocess.run(run, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said == "True True\n"
