"""The files of docs/deployment/ fit each other and this site."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.db.migrations import AddField
from django.db.migrations.loader import MigrationLoader
from django.test import Client
from django.utils import timezone

from events.models import TaskRun
from events.testing import message_xml, push
from events.tests.doctor.crooked import crooked_proxy
from subscribers.models import OutgoingMessage
from wechat_site.tests.launch import PRODUCTION, ROOT, free_port
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
    text = Client().get("/metrics").content.decode()
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


PROMETHEUS = """
global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 1s}
rule_files: [RULES]
scrape_configs:
  - job_name: wechat
    static_configs: [{targets: ["SITE"]}]
"""


@pytest.mark.any_database
@pytest.mark.slow
def test_each_panel_shows_something_in_prometheus(transactional_db, tmp_path):
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus (Debian: apt-get install prometheus)")
    rows = make_rows("books", "Birch Books", "oOWNk5QmZb7LwR2nVc9Ys0DfHj4E", "words")
    push(rows.account, message_xml())
    push(rows.account, message_xml(), change={"signature": "0" * 40})
    TaskRun.objects.create(name="messages", finished_at=timezone.now())
    OutgoingMessage.objects.update(failed_at=timezone.now())
    with crooked_proxy(lambda asked, site: site(asked)) as (host, port):
        config = PROMETHEUS.replace("RULES", str(FILES / "prometheus-rules.yaml"))
        (tmp_path / "prometheus.yaml").write_text(config.replace("SITE", f"{host}:{port}"))
        address = f"127.0.0.1:{free_port()}"
        started = subprocess.Popen(
            [
                program, "--config.file=prometheus.yaml", "--storage.tsdb.path=.",
                f"--web.listen-address={address}", "--log.level=error",
            ],
            cwd=tmp_path,
        )  # fmt: skip
        try:
            empty = missing_series(address)
            rules = asked_of(address, "rules", {})["groups"][0]["rules"]
        finally:
            started.terminate()
            started.wait(60)
    assert empty == []
    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys(BREAKS, "ok")


def missing_series(address):
    """The queries of the dashboard that find nothing, as soon as none is left, or at last."""
    board = json.loads((FILES / "grafana-dashboard.json").read_text())
    queries = {t["expr"] for panel in board["panels"] for t in panel["targets"]}
    deadline = time.monotonic() + 60
    while True:
        # Grafana puts four scrapes there.
        found = [
            query
            for query in sorted(queries)
            if not series_of(address, query.replace("$__rate_interval", "60s"))
        ]
        health = asked_of(address, "rules", {}) if not found else None
        is_over = health and all(r["health"] == "ok" for r in health["groups"][0]["rules"])
        if is_over or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def series_of(address, query):
    found = asked_of(address, "query", {"query": query})
    return found["result"] if found else []


def asked_of(address, api, query):
    """What Prometheus answers; nothing while it starts."""
    try:
        url = f"http://{address}/api/v1/{api}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


@pytest.mark.any_database
def test_prometheus_takes_the_rules():
    rules = yaml.safe_load((FILES / "prometheus-rules.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["expr"].count("(") == rule["expr"].count(")")


# What breaks, minute by minute, for each rule.
BREAKS = {
    "WechatNodeDown": ('up{job="wechat"}', "0x120"),
    "WechatPushesNotStored": ('wechat_callbacks_total{outcome="not_stored"}', "0+1x120"),
    "WechatPushesRefused": (
        'wechat_callback_refusals_total{reason="Downgraded"}',
        "0+9x120",
    ),
    "WechatNoPushes": ('wechat_callbacks_total{outcome="stored"}', "7x120"),
    "WechatWorkerSilent": ("wechat_task_last_run_timestamp_seconds", "0x120"),
    "WechatQueueStuck": ('wechat_jobs_oldest_seconds{task="messages"}', "900x120"),
    "WechatTaskFails": ('wechat_task_failures{task="messages"}', "3x120"),
    "WechatClock": ("wechat_callback_odd_timestamps_total", "0+1x120"),
}


@pytest.mark.any_database
def test_each_rule_fires_alone(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: apt-get install prometheus)")
    rules = FILES / "prometheus-rules.yaml"
    named = {rule["alert"] for rule in yaml.safe_load(rules.read_text())["groups"][0]["rules"]}
    assert named == set(BREAKS)
    firing = {"expr": 'count(ALERTS{alertstate="firing"}) by (alertname)', "eval_time": "100m"}
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values}],
            "promql_expr_test": [
                firing | {"exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}]}
            ],
        }
        for alert, (series, values) in BREAKS.items()
    ]
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": tests}))
    for command in (["check", "rules", "--lint-fatal", rules], ["test", "rules", file]):
        ran = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr


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
        for line in re.findall(r"^ExecStart=.*manage\.py (.*)$", unit.read_text(), re.MULTILINE):
            check_command(line.split())
        if analyze:
            result = subprocess.run(
                [analyze, "verify", "--man=no", tmp_path / unit.name],
                capture_output=True,
                text=True,
                check=False,
            )
            said = [line for line in result.stderr.splitlines() if str(tmp_path) in line]
            assert (result.returncode, said) == (0, []), result.stderr


# What each service of compose.yaml may say; Compose refuses other words.
SERVICE = {
    "build", "command", "depends_on", "env_file", "environment", "healthcheck", "image", "ports",
    "restart", "shm_size", "stop_grace_period", "ulimits", "user", "volumes",
}  # fmt: skip
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period", "disable"}
INSTRUCTIONS = {
    "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD",
}  # fmt: skip


def instructions():
    """Each instruction of the Containerfile with its words, lines joined, without comments."""
    text = (FILES / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, words = line.partition(" ")
            yield name, words.strip()


def copied():
    """What the image has of this tree."""
    for name, words in instructions():
        if name == "COPY" and not words.startswith("--from"):
            yield from words.split()[:-1]


def check_command(command):
    """Fails if manage.py knows no such command or argument."""
    name, *arguments = command
    apps = get_commands()
    assert name in apps, name
    load_command_class(apps[name], name).create_parser("manage.py", name).parse_args(arguments)


@pytest.mark.any_database
def test_compose_is_what_compose_takes():
    compose = yaml.safe_load((FILES / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"database", "site", "worker", "nginx"}
    for name, service in services.items():
        assert set(service) <= SERVICE, name
        assert ("image" in service) != ("build" in service), name
        assert service["restart"] == "always", name
        assert set(service.get("healthcheck", {})) <= HEALTHCHECK, name
        for volume in service.get("volumes", []):
            source, inside = volume.split(":")[:2]
            assert inside.startswith("/"), volume
            if source.startswith("./"):
                assert source.startswith("./certificates/") or (FILES / source).exists()
            else:
                assert source in compose["volumes"]
        waits_for = service.get("depends_on", {})
        for other, how in waits_for.items():
            assert how == {"condition": "service_healthy"}
            assert "test" in services[other]["healthcheck"], f"{name} waits for {other}"
    used = {v.partition(":")[0] for s in services.values() for v in s.get("volumes", [])}
    assert set(compose["volumes"]) <= used
    assert services["worker"]["healthcheck"] == {"disable": True}
    context = (FILES / services["site"]["build"]["context"]).resolve()
    assert (context / services["site"]["build"]["dockerfile"]).exists()
    for service in ("site", "worker"):
        check_command(services[service]["command"])
    socket = services["site"]["command"][-1]
    assert f"unix:{socket}" in (FILES / "nginx.conf").read_text()
    assert socket in "".join(services["site"]["healthcheck"]["test"])


@pytest.mark.any_database
def test_each_variable_is_in_the_table_of_readme():
    table = (ROOT / "README.md").read_text()
    lines = (FILES / "wechat-site.env").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert len(names) == len(set(names))
    for name in names:
        assert f"\n| `{name}` |" in table, name
    # What the comments above the files ask for is read by them.
    compose = (FILES / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", compose)) == {"POSTGRES_PASSWORD"}


@pytest.mark.any_database
@pytest.mark.slow
def test_the_image_has_what_the_site_needs(tmp_path):
    image = tmp_path / "site"
    image.mkdir()
    entrypoint, environment = [], {}
    for name, words in instructions():
        assert name in INSTRUCTIONS, name
        if name == "ENTRYPOINT":
            entrypoint = json.loads(words)
        if name == "CMD":
            check_command(json.loads(words))
        if name == "ENV":
            environment |= dict(word.split("=", 1) for word in words.split())
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("tests", "__pycache__")
            shutil.copytree(source, image / name, ignore=ignored)
        else:
            shutil.copy(source, image)
    assert (image / "manage.py").exists()
    settings = PRODUCTION | {"DEBUG": environment["DEBUG"], "PYTHONUNBUFFERED": "1"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        [*entrypoint, "collectstatic", "--noinput", "--verbosity", "0"],
        cwd=image, env={"PATH": path, **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (image / "var" / "static" / "staticfiles.json").exists()


@pytest.mark.any_database
def test_the_former_version_can_store_beside_a_newer_one():
    """Its INSERTs name no new column, so each has a default in the database, or takes NULL."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    found = {
        f"{app}.{name}: {operation.model_name}.{operation.name}"
        for (app, name), migration in loader.disk_migrations.items()
        if app in {"events", "subscribers"}
        for operation in migration.operations
        if isinstance(operation, AddField)
        and not (operation.field.null or operation.field.has_db_default())
        and not name.startswith("0001")
    }
    assert found == set()
