from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import template
from django.conf import settings
from django.db.models.options import Options
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

register = template.Library()


@register.filter
def under_sidebar_heading(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The path of a page with its first two parts as the sidebar has them; a row's name is marked.

    The theme begins a path with the app and the name of the model, but one app's pages stand under
    several headings, and some lists are called by what one does there. A page that the sidebar does
    not list keeps the theme's words. A heading that says the same as the page is left out.
    """
    if len(parts) < 2:
        return parts
    named = [*parts[:2], *({**part, "is_name": True} for part in parts[2:])]
    for heading, item in _items():
        if str(item["link"]) == str(parts[1].get("link")):
            first = [{"title": heading, "is_heading": True}] if heading else []
            if str(heading) == str(item["title"]):
                first = []
            return [*first, {**parts[1], "title": item["title"]}, *named[2:]]
    return named


@register.filter
def list_name(opts: Options[Any]) -> str:
    """What the sidebar calls the list of a model; a list that stands elsewhere: its rows' name."""
    try:
        address = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    except NoReverseMatch:
        address = ""
    for _heading, item in _items():
        if str(item["link"]) == address:
            return str(item["title"])
    return str(capfirst(opts.verbose_name_plural))


def _items() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each line of the sidebar, with the heading above it or ""."""
    sidebar: Any = settings.UNFOLD["SIDEBAR"]
    for group in sidebar["navigation"]:
        for item in group["items"]:
            yield group.get("title", ""), item
