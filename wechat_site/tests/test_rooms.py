"""Holds the packages to their size, and each module's name to one subject."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from wechat_site.tests.launch import ROOT

pytestmark = pytest.mark.any_database

APPS = ("events", "subscribers", "wechat_site")
MOST_MODULES = 14
# Their modules are named after tables, or after the other side's modules.
NAMED_AFTER_OTHERS = {
    "events/admin",
    "events/api",
    "events/simulator/fake_api/apis",
    "subscribers/admin",
    "subscribers/api",
    "wechat_site/admin",
    "wechat_site/settings",
    "wechat_site/templatetags",
}
NOT_ROOMS = {"tests", "migrations", "commands"}
# Django gives these names their meaning.
OF_DJANGO = {"apps.py", "formats.py", "urls.py", "views.py"}


def _modules(app: str) -> Iterator[Path]:
    for path in (ROOT / app).rglob("*.py"):
        module = path.relative_to(ROOT)
        if path.name != "__init__.py" and not NOT_ROOMS & set(module.parts):
            yield module


@pytest.mark.parametrize("app", APPS)
def test_a_name_occurs_once_in_an_app(app):
    places = defaultdict(list)
    for module in _modules(app):
        folders = {str(folder) for folder in module.parents}
        if module.name not in OF_DJANGO and not folders & NAMED_AFTER_OTHERS:
            places[module.name].append(str(module))
    assert [where for where in places.values() if len(where) > 1] == []


@pytest.mark.parametrize("app", APPS)
def test_a_package_can_be_seen_at_once(app):
    packages = defaultdict(list)
    for module in _modules(app):
        packages[str(module.parent)].append(module.name)
    assert {name: len(held) for name, held in packages.items() if len(held) > MOST_MODULES} == {}


@pytest.mark.parametrize("app", APPS)
def test_the_modules_that_recipes_tell_to_make_have_a_place_and_a_name(app):
    held = list(_modules(app))
    recipes = (ROOT / "CONTRIBUTING.md").read_text()
    for named in re.findall(rf"`({app}/[\w/]+\.py)`", recipes):
        module = Path(named)
        if (ROOT / module).exists() or NOT_ROOMS & set(module.parts):
            continue
        neighbours = [other for other in held if other.parent == module.parent]
        assert len(neighbours) < MOST_MODULES, f"no place for {named}"
        if not {str(folder) for folder in module.parents} & NAMED_AFTER_OTHERS:
            assert [str(other) for other in held if other.name == module.name] == [], named
