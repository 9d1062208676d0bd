"""What manage.py says where a command cannot begin."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wechat_site.tests.launch import ROOT

pytestmark = [pytest.mark.any_database, pytest.mark.slow]


def test_a_command_on_a_database_without_tables_says_so_in_a_sentence(tmp_path):
    result = subprocess.run(
        [sys.executable, "manage.py", "create_api_key", "operator"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("This database has no tables. `manage.py migrate` makes them")
    assert "Traceback" not in result.stderr
