"""No page of the admin links its viewer to a page that refuses the viewer."""

from __future__ import annotations

import html
import re
from urllib.parse import urljoin

import pytest

from wechat_site.signin.roles import ROLES
from wechat_site.tests.signin.people import browser_of, with_role
from wechat_site.tests.signin.world import make_rows

pytestmark = [pytest.mark.django_db, pytest.mark.any_database, pytest.mark.slow]

_LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#]+)')
# One of many pages of the same kind is enough.
_NUMBER = re.compile(r"\d+")


@pytest.mark.parametrize("role", ROLES)
def test_each_link_that_a_role_sees_leads_somewhere(role):
    make_rows("spruce", "Spruce Books", "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E", "a red bicycle")
    browser = browser_of(with_role("lin", role))
    waiting = [("/admin/", "")]
    known = {"/admin/"}
    refused = []
    while waiting:
        page, linked_by = waiting.pop()
        answer = browser.get(page)
        if answer.status_code >= 400:
            refused.append((page, answer.status_code, linked_by))
        if not answer.headers["Content-Type"].startswith("text/html") or answer.streaming:
            answer.close()
            continue
        for link in _LINK.findall(answer.content.decode()):
            goal = urljoin(page, html.unescape(link))
            kind = _NUMBER.sub("N", goal.partition("?")[0])
            if goal.startswith("/admin/") and kind not in known and "logout" not in goal:
                known.add(kind)
                waiting.append((goal, page))
    assert refused == []
    assert len(known) > 10
