"""Simulates the people behind the traffic: who follows, and what followers do.

Each person has a state, so that the traffic makes sense: only followers write, tap or leave. A
person does one thing per second at most, because WeChat's times count seconds: nobody could tell
the order of a follow and an unfollow in one second, or separate two equal taps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from .follower_acts import Acts, Follower
from .pushes import Fields, Push
from .repertoire import Code, Letter, Repertoire

__all__ = ["Population"]

_OPENID_LENGTH = 28
# The OpenIDs of one account begin with this number of equal characters.
_OPENID_PREFIX_LENGTH = 6

# The weights of a new follower and of a return. The acts of followers weigh about a hundred.
_NEWCOMERS, _RETURNS = 9, 1


class Population:
    """All present, former and future followers of the account `original_id`.

    `known` are people from before, such as the followers of an earlier run. `repertoire` lists what
    they can do; it may be replaced at any time.
    """

    def __init__(
        self,
        original_id: str,
        *,
        random: Random,
        repertoire: Repertoire | None = None,
        known: Iterable[Follower] = (),
    ) -> None:
        self._random = random
        self._does = Acts(original_id, random=random, repertoire=repertoire or Repertoire())
        self._following: list[Follower] = []
        self._gone: list[Follower] = []
        self._people: dict[str, Follower] = {}
        for follower in known:
            self._people[follower.openid] = follower
            (self._following if follower.is_following else self._gone).append(follower)
        somebody = next(iter(self._people), "o" + self._does.letters(_OPENID_PREFIX_LENGTH - 1))
        self._openid_prefix = somebody[:_OPENID_PREFIX_LENGTH]
        # The weight of each act, roughly as on the account of a shop.
        self._acts: dict[Callable[[Follower, int], Push], float] = {
            self._does.tap_key: 25,
            self._does.tap_url: 17,
            self._does.tap_mini_program: 2,
            self._does.use_tool: 1,
            self._does.write: 21,
            self._ask_to_unbind: 4,
            self._does.send_image: 4,
            self._does.send_voice: 2,
            self._does.send_video: 1,
            self._does.send_location: 1,
            self._does.send_link: 1,
            self._does.report_position: 6,
            self._does.scan_poster: 6,
            self._does.receive_notice: 1,
            self._unfollow: 4,
        }

        # The part of the repertoire that each of these acts needs.
        self._things: dict[Callable[[Follower, int], Push], str] = {
            self._does.tap_key: "menu_keys",
            self._does.tap_url: "urls",
            self._does.tap_mini_program: "pages",
            self._does.use_tool: "tools",
            self._does.scan_poster: "posters",
            self._does.send_link: "urls",
        }

    @property
    def repertoire(self) -> Repertoire:
        """The things that followers can do."""
        return self._does.repertoire

    @repertoire.setter
    def repertoire(self, repertoire: Repertoire) -> None:
        self._does.repertoire = repertoire

    @property
    def following(self) -> int:
        """The number of followers now."""
        return len(self._following)

    def followers(self) -> list[Follower]:
        """Returns all present followers; safe in any thread."""
        return list(self._following)

    def find(self, openid: str) -> Follower | None:
        """Returns a present or former follower; None for an unknown OpenID."""
        return self._people.get(openid)

    def next_push(self, at: int) -> Push:
        """Makes the next act of any person, at `at` (Unix seconds)."""
        draw = self._random.uniform(0, _NEWCOMERS + _RETURNS + sum(self._acts.values()))
        if draw < _NEWCOMERS:
            return self._follow(self._newcomer(), at)
        if draw < _NEWCOMERS + _RETURNS:
            follower = self._idle(self._gone, at)
            return self._follow(follower or self._newcomer(), at)
        follower = self._idle(self._following, at)
        if follower is None:
            return self._follow(self._newcomer(), at)
        acts = [act for act in self._acts if self._is_possible(act)]
        [act] = self._random.choices(acts, [self._acts[act] for act in acts])
        return act(follower, at)

    def leave(self, at: int) -> Push | None:
        """Lets a follower leave; None if it finds nobody who is idle at `at`."""
        follower = self._idle(self._following, at)
        return None if follower is None else self._unfollow(follower, at)

    def come_back(self, at: int) -> Push | None:
        """Lets a former follower follow again; None if it finds nobody."""
        follower = self._idle(self._gone, at)
        return None if follower is None else self._follow(follower, at)

    def scan(self, code: Code, at: int) -> list[Push]:
        """Makes the scans of a code: mostly one, sometimes a second, or one by another person."""
        at = max(at, code.made_at)
        first = self._idle(self._following, at)
        if first is None or self._random.random() < 0.3:
            first = self._newcomer()
        pushes = [self._scan_code(first, code, at)]
        draw = self._random.random()
        if draw < 0.15:
            pushes.append(self._scan_code(first, code, at + 1))
        elif draw < 0.3:
            rival = self._idle(self._following, at) or self._newcomer()
            pushes.append(self._scan_code(rival, code, at))
        return pushes

    def answer(self, letter: Letter, at: int) -> Push | None:
        """Makes a follower's reply to a message; None if they have left, or are busy at `at`."""
        follower = self._people.get(letter.openid)
        if follower is None or not follower.is_following or follower.last_act >= at:
            return None
        if letter.choices:
            choice, text = self._random.choice(letter.choices)
            number = int(choice) if choice.isdecimal() else choice
            tapped: Fields = {"Content": text, "bizmsgmenuid": number}
            return self._does.message(follower, at, "text", tapped)
        text = self._random.choice(self.repertoire.answers)
        return self._does.message(follower, at, "text", {"Content": text})

    def _is_possible(self, act: Callable[[Follower, int], Push]) -> bool:
        """Whether the repertoire has what the act needs."""
        things = self._things.get(act)
        return things is None or bool(getattr(self.repertoire, things))

    # --- Who ---

    def _newcomer(self) -> Follower:
        length = _OPENID_LENGTH - _OPENID_PREFIX_LENGTH
        return Follower(self._openid_prefix + self._does.letters(length))

    def _idle(self, people: list[Follower], at: int) -> Follower | None:
        """Returns a person who has done nothing at or after `at`, more likely a recent one."""
        for _ in range(10):
            if not people:
                break
            follower = people[int(len(people) * self._random.random() ** 0.5)]
            if follower.last_act < at:
                return follower
        return None

    def _moved(self, follower: Follower, origin: list[Follower], target: list[Follower]) -> None:
        if follower in origin:
            origin.remove(follower)
        target.append(follower)
        follower.is_following = target is self._following

    # --- Following and leaving ---

    def _follow(self, follower: Follower, at: int) -> Push:
        draw = self._random.random()
        if draw < 0.45:
            return self._follow_with(follower, at, "")
        if draw < 0.5:
            # A follow on the page after a payment (支付后关注).
            return self._follow_with(follower, at, f"last_trade_no_42{self._does.digits(26)}")
        if not self.repertoire.posters:
            return self._follow_with(follower, at, "")
        poster = self._does.poster()
        return self._follow_with(follower, at, f"qrscene_{poster.scene}", poster.ticket)

    def _follow_with(self, follower: Follower, at: int, key: str, ticket: str = "") -> Push:
        self._moved(follower, self._gone, self._following)
        self._people[follower.openid] = follower
        follower.followed_at, follower.follow_key = at, key
        return self._does.event(
            follower, at, "subscribe", key, {"Ticket": ticket} if ticket else None
        )

    def _unfollow(self, follower: Follower, at: int) -> Push:
        self._moved(follower, self._following, self._gone)
        return self._does.event(follower, at, "unsubscribe")

    # --- Scanning ---

    def _scan_code(self, follower: Follower, code: Code, at: int) -> Push:
        follower.has_scanned_code = True
        if follower.is_following:
            return self._does.event(follower, at, "SCAN", code.scene, {"Ticket": code.ticket})
        return self._follow_with(follower, at, f"qrscene_{code.scene}", code.ticket)

    def _ask_to_unbind(self, follower: Follower, at: int) -> Push:
        """Lets a person who scanned a code ask; if there is none, the follower just writes."""
        scanned = [person for person in self._following if person.has_scanned_code]
        person = self._idle(scanned, at)
        if person is None:
            return self._does.write(follower, at)
        person.has_scanned_code = False
        return self._does.message(person, at, "text", {"Content": self.repertoire.unbind_text})
