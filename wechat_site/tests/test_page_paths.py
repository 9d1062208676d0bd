"""The path above each page names the heading under which the sidebar lists the page."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("events_apikey", "Access"),
        ("events_auditentry", "Access"),
        ("events_taskrun", "Operation"),
        ("events_eventlog", "Receiving"),
        ("subscribers_erasure", "Access"),
        ("subscribers_qrscene", "Followers"),
    ],
)
def test_the_path_begins_with_the_sidebars_heading(operator, name, heading):
    html = operator.get(reverse(f"admin:{name}_changelist")).content.decode()
    header = re.search(r"<h1.*?</h1>", html, re.DOTALL)
    assert header
    words = re.sub(r"<span[^>]*material-symbols.*?</span>|<[^>]+>", " ", header[0]).split()
    assert words[0] == heading


def test_a_page_under_no_heading_begins_with_its_list(operator):
    html = operator.get(reverse("admin:subscribers_conversation_changelist")).content.decode()
    header = re.search(r"<h1.*?</h1>", html, re.DOTALL)
    assert header
    assert "Followers" not in header[0]
