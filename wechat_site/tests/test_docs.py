"""The pages name files and rooms that are there."""

from __future__ import annotations

import re

import pytest

from events.people.scopes import SCOPES
from wechat_site.tests.launch import ROOT

pytestmark = pytest.mark.any_database

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# api.md has none of them: there `events/` is a part of a URL.
PATH = re.compile(r"`((?:benchmarks|events|subscribers|wechat_site)/[\w./]+)`")
# Files that a recipe of CONTRIBUTING.md tells to make.
MADE_BY_RECIPES = re.compile(r"coupon|block")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_files_that_are_there(page):
    text = page.read_text()
    named = set() if page.name == "api.md" else set(PATH.findall(text))
    missing = {
        name for name in named if not (ROOT / name).exists() and not MADE_BY_RECIPES.search(name)
    }
    linked = set(re.findall(r"\]\(([\w./-]+)\)", text))
    missing |= {link for link in linked if not (page.parent / link).exists()}
    assert missing == set()


def _anchor(heading):
    """The name of a heading in addresses, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_into_a_page_leads_to_one_of_its_headings(page):
    for path, anchor in re.findall(r"\]\(([\w./-]*)#([^)]+)\)", page.read_text()):
        text = (page.parent / path if path else page).read_text()
        assert anchor in {_anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def test_the_map_has_every_room():
    rooms = {
        path.parent.relative_to(ROOT).as_posix()
        for app in ("events", "subscribers", "wechat_site")
        for path in (ROOT / app).glob("*/__init__.py")
        if path.parent.name not in {"migrations", "tests", "management", "templatetags"}
    }
    shown = set(re.findall(r"`([\w/]+)/`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert rooms - shown == set()


@pytest.mark.parametrize("page", ["api.md", "roles.md"])
def test_the_pages_on_keys_have_every_scope(page):
    text = (ROOT / "docs" / page).read_text()
    if page == "api.md":
        # It leads to the page that has those of the token broker.
        text += (ROOT / "docs/token-broker.md").read_text()
    assert [scope for scope in SCOPES if f"`{scope}`" not in text] == []


def test_a_page_has_every_command():
    text = "".join(page.read_text() for page in PAGES)
    commands = {path.stem for path in ROOT.glob("*/management/commands/*.py")} - {"__init__"}
    assert {name for name in commands if name not in text} == set()


@pytest.mark.parametrize("test", re.findall(r"`(test_\w+)`", PAGES[1].read_text()))
def test_a_test_to_copy_is_there(test):
    assert any(f"def {test}(" in path.read_text() for path in ROOT.glob("*/tests/**/*.py"))
