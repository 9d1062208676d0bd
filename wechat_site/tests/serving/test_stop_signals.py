from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from wechat_site.serving.stop_signals import on_signals

pytestmark = pytest.mark.any_database


@pytest.fixture(autouse=True)
def former_handler():
    handler = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, handler)


def test_a_function_may_take_a_lock_that_the_main_thread_holds():
    lock, called = threading.Lock(), threading.Event()

    def take_lock():
        with lock:
            called.set()

    on_signals({signal.SIGUSR2: take_lock})
    with lock:
        os.kill(os.getpid(), signal.SIGUSR2)
        # The handler runs here, before the lock is free.
        time.sleep(0.01)
        assert not called.is_set()
    assert called.wait(10)


def test_it_is_called_each_time():
    calls = threading.Semaphore(0)
    on_signals({signal.SIGUSR2: calls.release})
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR2)
        assert calls.acquire(timeout=10)
