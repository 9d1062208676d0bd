"""WeChat's side of the callback, for demonstrations, load and acceptance tests.

It knows the product from outside only: an address, an account's secrets, and the protocol.

1. `population.Population` is the people: who follows, scans, taps, writes and leaves;
2. `traffic` puts their acts on a clock, then duplicates and reorders what is to be delivered;
3. `sender.PushSender` signs, encrypts and posts each delivery, tries again as WeChat does, and
   holds every answer against the protocol (`answers`).

The same seed and the same times give the same events. Signatures, nonces and ciphertext are fresh
for each try, as WeChat's are.
"""

from __future__ import annotations

from .follower_acts import Follower
from .judge_answer import IllegalAnswer, check_answer
from .population import Population
from .push_sender import PushSender, Tally
from .pushes import Push
from .repertoire import Code, Letter, Poster, Repertoire
from .traffic import Delivery, acts, believable_times, disturbed, paced, undelivered

__all__ = [
    "Code",
    "Delivery",
    "Follower",
    "IllegalAnswer",
    "Letter",
    "Population",
    "Poster",
    "Push",
    "PushSender",
    "Repertoire",
    "Tally",
    "acts",
    "believable_times",
    "check_answer",
    "disturbed",
    "paced",
    "undelivered",
]
