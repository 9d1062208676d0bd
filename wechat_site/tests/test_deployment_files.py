"""The files of docs/deployment/ fit each other and this site."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from events.models import TaskRun
from events.testing import message_xml, push
from subscribers.models import OutgoingMessage
from wechat_site.tests.launch import ROOT
from wechat_site.tests.signin.world import make_rows

FILES = ROOT / "docs" / "deployment"
METRIC = re.compile(r"\bwechat_\w+")
# What Prometheus and Grafana know by themselves, and words of their language.
LABEL = re.compile(r"(?:by \(|\{)([a-z_, ]+)(?:\)|[!=~]+\")")


def expressions():
    rules = yaml.safe_load((FILES / "prometheus-rules.yaml").read_text())
    board = json.loads((FILES / "grafana-dashboard.json").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_each_query_finds_series_on_a_running_site(db, operator):
    rows = make_rows("books", "Birch Books", "oOWNk5QmZb7LwR2nVc9Ys0DfHj4E", "words")
    push(rows.account, message_xml())
    push(rows.account, message_xml(), change={"signature": "0" * 40})
    TaskRun.objects.create(name="messages", finished_at=timezone.now())
    OutgoingMessage.objects.update(failed_at=timezone.now())
    text = Client(REMOTE_ADDR="127.0.0.1").get("/metrics").content.decode()
    labels = {}
    for line in text.splitlines():
        if found := re.match(r"(wechat_\w+)(?:\{(.*)\})? ", line):
            names = re.findall(r'(\w+)="', found[2] or "")
            labels.setdefault(found[1], set()).update(names)
    for title, expression in expressions():
        for metric in METRIC.findall(expression):
            assert metric in labels, title
            used = {
                name.strip() for group in LABEL.findall(expression) for name in group.split(",")
            }
            assert used <= labels[metric], title


@pytest.mark.any_database
def test_prometheus_takes_the_rules():
    rules = yaml.safe_load((FILES / "prometheus-rules.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "rules", FILES / "prometheus-rules.yaml"], check=True)


@pytest.mark.any_database
def test_systemd_takes_the_units(tmp_path):
    units = [path for path in FILES.iterdir() if path.suffix in {".service", ".timer"}]
    assert len(units) == 4
    analyze = shutil.which("systemd-analyze")
    if analyze is None and os.environ.get("CI") == "true":
        pytest.fail("there is no systemd-analyze (Debian: apt-get install systemd)")
    for unit in units:
        # It looks for the programs, which are elsewhere here.
        text = unit.read_text().replace("/opt/wechat-site/.venv/bin/python", sys.executable)
        (tmp_path / unit.name).write_text(text.replace("/opt/wechat-site", str(ROOT)))
    for unit in units:
        for command in re.findall(r"manage\.py (\w+)", unit.read_text()):
            assert command in {"serve", "worker", "backup"}
        if analyze:
            result = subprocess.run(
                [analyze, "verify", "--man=no", tmp_path / unit.name],
                capture_output=True,
                text=True,
                check=False,
            )
            said = [line for line in result.stderr.splitlines() if str(tmp_path) in line]
            assert (result.returncode, said) == (0, []), result.stderr


@pytest.mark.any_database
def test_the_containers_fit_each_other():
    compose = yaml.safe_load((FILES / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"database", "site", "worker", "nginx"}
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert source.startswith("./certificates/") or (FILES / source).exists()
            else:
                assert source in compose["volumes"]
    socket = services["site"]["command"][-1]
    assert f"unix:{socket}" in (FILES / "nginx.conf").read_text()
    lines = (FILES / "Containerfile").read_text().splitlines()
    copied = [
        shlex.split(line)[1] for line in lines if line.startswith("COPY ") and "--" not in line
    ]
    assert all((ROOT / name).exists() for name in copied)
    # whatever Python imports or a page shows is in the image
    assert {"events", "subscribers", "wechat_site", "templates", "manage.py"} <= set(copied)
    known = (ROOT / "wechat_site" / "settings.py").read_text()
    for line in (FILES / "wechat-site.env").read_text().splitlines():
        if line and not line.startswith("#"):
            assert f'"{line.partition("=")[0]}"' in known, line
