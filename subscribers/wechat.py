"""What this app does with events: each module registers itself when it is imported.

`EventsConfig.ready` imports this module, as it does the `wechat.py` of every installed app.
"""

from __future__ import annotations

from subscribers.binding import replies
from subscribers.messages import send
from subscribers.personal_data import erase, requests
from subscribers.rules import people
from subscribers.state import carried_over, projections
from subscribers.stats.counting import activity, removal, scenes
from subscribers.sync import differences
from subscribers.webhooks import personal_deliveries

__all__ = [
    "activity",
    "carried_over",
    "differences",
    "erase",
    "people",
    "personal_deliveries",
    "projections",
    "removal",
    "replies",
    "requests",
    "scenes",
    "send",
]
