"""The commands that play WeChat's platform, beside a site of one's own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from wechat_site.tests.launch import ROOT, free_port
from wechat_site.tests.site import Site

pytestmark = [pytest.mark.any_database, pytest.mark.slow]

# Seconds; only what hangs takes so long, however busy the machine is.
LIMIT = 300


@pytest.fixture
def port(site: Site) -> int:
    """Where the site will look for the platform."""
    port = free_port()
    site.environment["WECHAT_API_BASE"] = f"http://127.0.0.1:{port}"
    return port


def printed_by(site: Site, code: str) -> str:
    return site.manage("shell", "-v0", "-c", f"from subscribers.models import *; {code}").strip()


def test_a_platform_of_made_up_followers_is_there_until_it_is_told_to_end(site, port):
    site.manage("add_account", "load", "--app-secret", "any")
    command = [sys.executable, "manage.py", "fake_platform", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--followers", "250", "--latency", "0", "0.01"],
        cwd=ROOT,
        env=site.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "load: 250 followers\n"
            assert f"WECHAT_API_BASE=http://127.0.0.1:{port}" in process.stdout.readline()
            # A second one finds the port taken.
            site.manage(*command[2:], code=1)
            site.manage("sync_followers", "load")
            assert (
                printed_by(site, "print(Subscriber.objects.filter(is_following=True).count())")
                == "250"
            )
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT) == 0
        finally:
            # A failure above must not wait for its end.
            process.kill()


def test_the_simulation_can_play_the_platform_too(site, port):
    options = ["--rate", "50", "--forever", "--platform-port", str(port)]
    site.manage(*site.simulation(*options)[1:], code=1)
    site.manage("add_account", "load", "--app-secret", "any")
    site.start_web()
    site.start("manage.py", "worker")
    simulation = site.start(*site.simulation(*options))
    made = (
        "from events.models import *; from subscribers.qr_codes.create import *; "
        "from subscribers.binding.bind import *; from django.contrib.auth.models import User; "
        "shop = OfficialAccount.objects.get(); "
        "create_qr_codes(shop, [NewQRCode('海报', 'poster')]); "
        "start_binding(account=shop, user=User.objects.create_user('zhangwei'))"
    )
    printed_by(site, made)
    # However slow the machine is: the simulation goes on until both codes were scanned.
    printed_by(
        site,
        "import time; from events.models import *\n"
        "while not (Binding.objects.exists() and EventLog.objects.with_scene('poster').exists()):"
        " time.sleep(0.1)",
    )
    assert printed_by(site, "print(Binding.objects.get().user.username)") == "zhangwei"
    simulation.send_signal(signal.SIGINT)
    assert simulation.wait(LIMIT) == 0, site.log.read_text()
