"""Follows the links of the admin, as one who looks at everything would."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from django.test import Client

__all__ = ["Page", "pages"]

_LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#]+)')
# One of many pages of the same kind is enough.
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Page:
    path: str
    linked_by: str
    answer: Any


def pages(browser: Client) -> Iterator[Page]:
    """Yields the dashboard and all pages that links lead to from there, one of each kind."""
    waiting = [("/admin/", "")]
    known = {"/admin/"}
    while waiting:
        path, linked_by = waiting.pop()
        answer = browser.get(path)
        yield Page(path, linked_by, answer)
        if not answer.headers["Content-Type"].startswith("text/html") or answer.streaming:
            answer.close()
            continue
        for link in _LINK.findall(answer.content.decode()):
            goal = urljoin(path, html.unescape(link))
            kind = _NUMBER.sub("N", goal.partition("?")[0])
            if goal.startswith("/admin/") and kind not in known and "logout" not in goal:
                known.add(kind)
                waiting.append((goal, path))
