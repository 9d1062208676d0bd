"""Columns that say how many followers came through a scene, and how many stayed."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.changelist import KeysetChangeList
from subscribers.qr_codes.counts import CAME_FIRST, STILL_FOLLOWING, count_followers

__all__ = ["CountingKeysetList", "CountingList", "FollowerCounts"]


class CountingList(ChangeList):
    """Counts followers only for the rows of the page, not for the whole list."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        shown: list[Any] = list(self.result_list)
        count_followers(shown)
        self.result_list = shown


class CountingKeysetList(CountingList, KeysetChangeList):
    pass


class FollowerCounts:
    """The columns of `count_followers`."""

    @display(description=_("came through it first"), ordering=CAME_FIRST)
    def came_first(self, scene: Any) -> int:
        return scene.first_count

    @display(description=_("still following"), ordering=STILL_FOLLOWING)
    def still_following(self, scene: Any) -> int:
        return scene.following_count
