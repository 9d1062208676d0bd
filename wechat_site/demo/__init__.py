"""What `manage.py demo` shows: a shop's account, its followers, and WeChat's platform.

1. `shop` is what the account has: codes, replies, menus, an operator, colleagues and site users;
2. `traffic` makes the followers live: the two weeks of `past` in a few seconds, then what is now;
3. `staff` does what people do on the site: bind their WeChat, answer followers, look at menus.

What the site shows came through its own doors: pushes over HTTP, rows that its worker served.
"""

from __future__ import annotations

from .shop import make_account, make_operator
from .traffic import PAST_EVENTS, PER_SECOND, Demonstration

__all__ = ["PAST_EVENTS", "PER_SECOND", "Demonstration", "make_account", "make_operator"]
