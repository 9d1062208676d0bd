"""Template tags for the paths and titles of admin pages, in the sidebar's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import template
from django.conf import settings
from django.db.models.options import Options
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext, pgettext

register = template.Library()


@register.filter
def under_sidebar_heading(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The path of a page, with the sidebar's words for its first two parts; a row's name is marked.

    The theme begins a path with the app and the name of the model. But one app's pages are under
    several headings, and some lists have the name of what users do there. A page that the sidebar
    does not list keeps the theme's words. A heading with the same words as the page is left out.
    """
    if len(parts) < 2:
        return parts
    named = [*parts[:2], *({**part, "is_name": True} for part in parts[2:])]
    for heading, item in _items():
        if str(item["link"]) == str(parts[1].get("link")):
            first = [{"title": heading, "is_heading": True}] if heading else []
            if str(heading) == str(item["title"]):
                first = []
            return [*first, {**parts[1], "title": item["title"], "is_list": True}, *named[2:]]
    return named


@register.filter
def list_name(opts: Options[Any]) -> str:
    """The sidebar's name for the list of a model; else the plural name of the model."""
    try:
        address = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    except NoReverseMatch:
        address = ""
    for _heading, item in _items():
        if str(item["link"]) == address:
            return str(item["title"])
    return str(capfirst(opts.verbose_name_plural))


@register.simple_tag(takes_context=True)
def act_of_page(context: Context) -> str:
    """The last part of a page's path, which says what users do there, below a list or a row.

    "" for a list, for the page of a row, and if the title only repeats the path.
    """
    opts, title = context.get("opts"), str(context.get("title") or "")
    if not isinstance(opts, Options) or "cl" in context or context.get("change"):
        return ""
    if "entries" in context and "module_name" in context:
        return gettext("History")
    if context.get("add") and title == gettext("Add %s") % opts.verbose_name:
        return pgettext("end of a path", "New")
    # Django's own title names the row, which the path has already.
    return "" if title in {list_name(opts), str(context.get("original"))} else title


def _items() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yields each line of the sidebar with the heading above it, or with ""."""
    sidebar: Any = settings.UNFOLD["SIDEBAR"]
    for group in sidebar["navigation"]:
        for item in group["items"]:
            yield group.get("title", ""), item
