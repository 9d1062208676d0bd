from __future__ import annotations

import signal
from unittest import mock

import pytest

from wechat_site.serving.supervisor import Site

pytestmark = pytest.mark.any_database


def test_the_code_is_loaded_anew_where_celery_does_the_work(settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1/0"
    site = Site("127.0.0.1", 8000)
    web_server = mock.Mock()
    web_server.poll.return_value = None
    site._children = {"web server": web_server}
    site._reload_wanted.set()
    with mock.patch.object(site.stopping, "wait", side_effect=[False, True]):
        site.wait()
    web_server.send_signal.assert_called_once_with(signal.SIGHUP)
