"""Template tags for empty lists in the admin."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.urls import reverse

from events.viewer import may
from wechat_site.empty_lists import EMPTY_LISTS

register = template.Library()


@register.simple_tag
def empty_list(cl: ChangeList) -> dict[str, Any]:
    """The sentence for an empty list, and the steps that the user may take.

    An empty dict for a list of another app.
    """
    said = EMPTY_LISTS.get(cl.opts.label_lower)
    if said is None:
        return {}
    steps = [
        {"words": step.words, "url": reverse(f"admin:{step.page}")}
        for step in said.steps
        if may(step.right)
    ]
    return {"sentence": said.sentence, "steps": steps}
