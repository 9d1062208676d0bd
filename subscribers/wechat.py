"""What this app does with events: each module registers itself when it is imported.

`EventsConfig.ready` imports this module, as it does the `wechat.py` of every installed app.
"""

from __future__ import annotations

from subscribers.binding import replies
from subscribers.messages import send
from subscribers.personal_data import erase, requests
from subscribers.rules import people
from subscribers.state import carried_over, projections
from subscribers.stats import intervals, removal, scenes
from subscribers.sync import differences

__all__ = [
    "carried_over",
    "differences",
    "erase",
    "intervals",
    "people",
    "projections",
    "removal",
    "replies",
    "requests",
    "scenes",
    "send",
]
