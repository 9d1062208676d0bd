"""Plays WeChat's side of the callback, for demonstrations, load and acceptance tests.

It knows the product only from outside: an address, an account's secrets, and the protocol.

1. `population.Population` simulates the people, who follow, scan, tap, write and leave;
2. `traffic` gives their acts times, then duplicates and reorders the deliveries;
3. `push_sender.PushSender` signs, encrypts and posts each delivery, tries again as WeChat does, and
   checks every answer against the protocol (`judge_answer`).

The same seed and the same times give the same events. Signatures, nonces and ciphertext are new for
each try, as WeChat's are.
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
