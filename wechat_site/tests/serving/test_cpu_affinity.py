"""Where the web server's processes run."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from wechat_site.tests.launch import ROOT

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets processes choose"),
]

# As a web process does, and says where it runs then; it goes on until it is told to end.
WEB_PROCESS = """
import os
allowed, real = {allowed}, os.sched_getaffinity
os.sched_getaffinity = lambda pid: allowed
from wechat_site.serving.cpu_affinity import stay_on_one_processor
claim = stay_on_one_processor()
print(*sorted(real(0)), flush=True)
input()
"""


def start(allowed: set[int]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WEB_PROCESS.format(allowed=allowed)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def place(process: subprocess.Popen[str]) -> set[int]:
    assert process.stdout is not None
    return {int(number) for number in process.stdout.readline().split()}


def test_each_process_has_a_processor_of_its_own_which_is_free_after_its_end():
    here = sorted(os.sched_getaffinity(0))[:2]
    with ExitStack() as running:
        first, second = (running.enter_context(start(set(here))) for _ in range(2))
        places = [place(first), place(second)]
        assert all(len(found) == 1 for found in places)
        assert set.union(*places) == set(here)
        first.communicate("\n")
        follower = running.enter_context(start(set(here)))
        assert place(follower) == places[0]
        # while a reload replaces them, there are more
        third = running.enter_context(start(set(here)))
        assert place(third) <= set(here)
        for process in (second, follower, third):
            process.communicate("\n")


def test_where_there_are_more_processors_the_kernel_decides():
    with start({0, 1, 2}) as process:
        assert place(process) == os.sched_getaffinity(0)
        process.communicate("\n")
