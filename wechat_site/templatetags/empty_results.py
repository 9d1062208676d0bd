"""Template tags for empty lists in the admin."""

from __future__ import annotations

from typing import Any

from django import template
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.template import RequestContext
from django.urls import reverse

from wechat_site.empty_lists import EMPTY_LISTS

register = template.Library()


@register.simple_tag(takes_context=True)
def empty_list(context: RequestContext, cl: ChangeList) -> dict[str, Any]:
    """The sentence for an empty list, and the steps that the user may take.

    An empty dict for a list of another app.
    """
    said = EMPTY_LISTS.get(cl.opts.label_lower)
    if said is None:
        return {}
    steps = [
        {"words": step.words, "url": reverse(f"admin:{step.page}")}
        for step in said.steps
        if _admits(context.request, step.right)
    ]
    return {"sentence": said.sentence, "steps": steps}


def _admits(request: HttpRequest, right: str) -> bool:
    """Whether the page for this right admits the user; some pages want more than the right."""
    app, _dot, codename = right.partition(".")
    act, _dash, model = codename.partition("_")
    page = admin.site.get_model_admin(apps.get_model(app, model))
    return bool(getattr(page, f"has_{act}_permission")(request))
