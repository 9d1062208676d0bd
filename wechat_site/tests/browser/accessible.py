"""Examines a page with axe-core, the checker of Deque, for what hinders people.

The file of axe-core comes with a package of the requirements, so that its version is pinned.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

__all__ = ["assert_accessible"]

# Of WCAG 2.2, levels A and AA, and what axe recommends besides: landmarks, headings, skip link.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# The dark theme differs in its colours alone.
_THEMES = {
    "light": {"type": "tag", "values": _RULES},
    "dark": {"type": "rule", "values": ["color-contrast"]},
}
_USE_THEME = "isDark => document.documentElement.classList.toggle('dark', isDark)"
# Colours that fade from one theme into the other are no theme's. The first frame begins them.
_AT_REST = """() => new Promise(requestAnimationFrame)
    .then(() => new Promise(requestAnimationFrame))
    .then(() => Promise.allSettled(document.getAnimations()
        .filter((one) => one instanceof CSSTransition).map((one) => one.finished)))
    .then(() => null)"""


@functools.cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def assert_accessible(page: Any) -> None:
    """Fails with each rule that the page breaks, in the light or the dark theme, and where."""
    found = []
    for theme, rules in _THEMES.items():
        # The admin asks for the system's theme only as it begins; the page to sign in follows it.
        page.emulate_media(color_scheme=theme)
        page.evaluate(_USE_THEME, theme == "dark")
        page.evaluate(_AT_REST)
        # Not as a script element, which the pages' Content-Security-Policy would refuse.
        page.evaluate(_axe())
        result = page.evaluate("runOnly => axe.run({runOnly})", rules)

        found += [
            f"{theme}, {broken['id']} ({broken['help']}): {node['html'][:200]}"
            for broken in result["violations"]
            for node in broken["nodes"]
        ]
    page.evaluate(_USE_THEME, False)
    page.emulate_media(color_scheme="null")
    assert not found, f"{page.url}\n" + "\n".join(found)
