from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

register = template.Library()


@register.filter
def under_sidebar_heading(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The path of a page with its first part as the sidebar has it; a row's name is marked so.

    The theme begins a path with the app of the model, but one app's pages stand under several
    headings. A page that the sidebar does not list keeps the app's name.
    """
    if len(parts) < 2:
        return parts
    named = [*parts[:2], *({**part, "is_name": True} for part in parts[2:])]
    sidebar: Any = settings.UNFOLD["SIDEBAR"]
    for group in sidebar["navigation"]:
        if any(str(item["link"]) == str(parts[1].get("link")) for item in group["items"]):
            first = [{"title": group["title"], "is_heading": True}] if "title" in group else []
            return [*first, *named[1:]]
    return named
