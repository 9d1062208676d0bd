"""The content of `manage.py demo`: a shop's account, its followers, and WeChat's platform.

1. `shop` has the account's codes, replies and menus, an operator, colleagues and site users;
2. `traffic` plays the followers: the two weeks of `past` in a few seconds, then dated back, and the
   present;
3. `staff` plays the people on the site: they bind their WeChat, answer followers, look at menus.

Everything takes the site's usual ways: pushes come over HTTP, and the worker runs the jobs.
"""

from __future__ import annotations

from .shop import make_account, make_operator
from .traffic import PAST_EVENTS, PER_SECOND, Demonstration

__all__ = ["PAST_EVENTS", "PER_SECOND", "Demonstration", "make_account", "make_operator"]
