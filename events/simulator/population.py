"""The people behind the traffic: who follows, and what followers do.

Each has a state, so that the traffic makes sense: nobody writes, taps or leaves who does not
follow. Nobody does two things within one second, for WeChat's times have no finer grain: a follow
and an unfollow in one second, or two equal taps, could not be told apart by anybody.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from .pushes import Fields, Push, event_push, message_push
from .repertoire import Code, Letter, Poster, Repertoire

__all__ = ["Follower", "Population"]

_OPENID_LETTERS = string.ascii_letters + string.digits + "_-"
_OPENID_LENGTH = 28
# The OpenIDs of one account begin alike.
_OPENID_PREFIX_LENGTH = 6

# What a newcomer and a return weigh beside the acts of followers, which come to a hundred or so.
_NEWCOMERS, _RETURNS = 9, 1


@dataclass(slots=True, eq=False)
class Follower:
    """One person; times are in Unix seconds, 0 for what has not happened or is not known.

    `follow_key` is the EventKey of the last follow: `qrscene_…`, `last_trade_no_…` or "".
    """

    openid: str
    is_following: bool = False
    last_act: int = 0
    has_scanned_code: bool = False
    followed_at: int = 0
    follow_key: str = ""


class Population:
    """Everybody who ever followed the account `original_id`, and those who are about to.

    `known` are people from before, such as the followers of an earlier run. `repertoire` is what
    they find to do, and may be exchanged at any time.
    """

    def __init__(
        self,
        original_id: str,
        *,
        random: Random,
        repertoire: Repertoire | None = None,
        known: Iterable[Follower] = (),
    ) -> None:
        self._original_id = original_id
        self._random = random
        self.repertoire = repertoire or Repertoire()
        self._next_msg_id = random.randrange(10**16, 10**18)
        self._following: list[Follower] = []
        self._gone: list[Follower] = []
        self._people: dict[str, Follower] = {}
        for follower in known:
            self._people[follower.openid] = follower
            (self._following if follower.is_following else self._gone).append(follower)
        whoever = next(iter(self._people), "o" + self._letters(_OPENID_PREFIX_LENGTH - 1))
        self._openid_prefix = whoever[:_OPENID_PREFIX_LENGTH]
        # How often each is done: roughly as on the account of a shop.
        self._acts: dict[Callable[[Follower, int], Push], float] = {
            self._tap_key: 25,
            self._tap_url: 17,
            self._tap_mini_program: 2,
            self._use_tool: 1,
            self._write: 21,
            self._ask_to_unbind: 4,
            self._send_image: 4,
            self._send_voice: 2,
            self._send_video: 1,
            self._send_location: 1,
            self._send_link: 1,
            self._report_position: 6,
            self._scan_poster: 6,
            self._receive_notice: 1,
            self._unfollow: 4,
        }

        # What the repertoire must have for them.
        self._things: dict[Callable[[Follower, int], Push], str] = {
            self._tap_key: "menu_keys",
            self._tap_url: "urls",
            self._tap_mini_program: "pages",
            self._use_tool: "tools",
            self._scan_poster: "posters",
            self._send_link: "urls",
        }

    @property
    def following(self) -> int:
        """How many follow now."""
        return len(self._following)

    def followers(self) -> list[Follower]:
        """Everybody who follows now, from any thread."""
        return list(self._following)

    def find(self, openid: str) -> Follower | None:
        """Somebody who follows or once did."""
        return self._people.get(openid)

    def next_push(self, at: int) -> Push:
        """What somebody does next, at `at` (Unix seconds)."""
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
        """Somebody who follows leaves; None if nobody has done nothing at `at`."""
        follower = self._idle(self._following, at)
        return None if follower is None else self._unfollow(follower, at)

    def come_back(self, at: int) -> Push | None:
        """Somebody who has left follows again; None if there is nobody."""
        follower = self._idle(self._gone, at)
        return None if follower is None else self._follow(follower, at)

    def scan(self, code: Code, at: int) -> list[Push]:
        """What comes of a code: mostly one scan; now and then a second, or two people racing."""
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
        """What a follower replies to a message; None if they have left, or are busy at `at`."""
        follower = self._people.get(letter.openid)
        if follower is None or not follower.is_following or follower.last_act >= at:
            return None
        if letter.choices:
            choice, text = self._random.choice(letter.choices)
            number = int(choice) if choice.isdecimal() else choice
            tapped: Fields = {"Content": text, "bizmsgmenuid": number}
            return self._message(follower, at, "text", tapped)
        text = self._random.choice(self.repertoire.answers)
        return self._message(follower, at, "text", {"Content": text})

    def _is_possible(self, act: Callable[[Follower, int], Push]) -> bool:
        """Whether the repertoire has something to do it with."""
        things = self._things.get(act)
        return things is None or bool(getattr(self.repertoire, things))

    # --- Who ---

    def _newcomer(self) -> Follower:
        length = _OPENID_LENGTH - _OPENID_PREFIX_LENGTH
        return Follower(self._openid_prefix + self._letters(length))

    def _idle(self, people: list[Follower], at: int) -> Follower | None:
        """Somebody who has done nothing at or after `at`; those who came last are most active."""
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
            # From the page after a payment (支付后关注).
            return self._follow_with(follower, at, f"last_trade_no_42{self._digits(26)}")
        if not self.repertoire.posters:
            return self._follow_with(follower, at, "")
        poster = self._poster()
        return self._follow_with(follower, at, f"qrscene_{poster.scene}", poster.ticket)

    def _follow_with(self, follower: Follower, at: int, key: str, ticket: str = "") -> Push:
        self._moved(follower, self._gone, self._following)
        self._people[follower.openid] = follower
        follower.followed_at, follower.follow_key = at, key
        return self._event(follower, at, "subscribe", key, {"Ticket": ticket} if ticket else None)

    def _unfollow(self, follower: Follower, at: int) -> Push:
        self._moved(follower, self._following, self._gone)
        return self._event(follower, at, "unsubscribe")

    # --- Scanning ---

    def _scan_poster(self, follower: Follower, at: int) -> Push:
        poster = self._poster()
        return self._event(follower, at, "SCAN", poster.scene, {"Ticket": poster.ticket})

    def _scan_code(self, follower: Follower, code: Code, at: int) -> Push:
        follower.has_scanned_code = True
        if follower.is_following:
            return self._event(follower, at, "SCAN", code.scene, {"Ticket": code.ticket})
        return self._follow_with(follower, at, f"qrscene_{code.scene}", code.ticket)

    # --- The menu ---

    def _tap_key(self, follower: Follower, at: int) -> Push:
        return self._event(follower, at, "CLICK", self._favourite(self.repertoire.menu_keys))

    def _tap_url(self, follower: Follower, at: int) -> Push:
        url = self._favourite(self.repertoire.urls)
        return self._event(follower, at, "VIEW", url, {"MenuId": 428796990})

    def _tap_mini_program(self, follower: Follower, at: int) -> Push:
        page = self._favourite(self.repertoire.pages)
        return self._event(follower, at, "view_miniprogram", page, {"MenuId": 428796990})

    def _use_tool(self, follower: Follower, at: int) -> Push:
        event, key = self._random.choice(self.repertoire.tools)
        return self._event(follower, at, event, key, self._made_with(event))

    def _made_with(self, event: str) -> Fields:
        """What comes with the tap on an entry that opens scanner, map or camera."""
        if event.startswith("scancode_"):
            scanned = {"ScanType": "barcode", "ScanResult": f"EAN_13,69{self._digits(11)}"}
            return {"ScanCodeInfo": scanned}
        if event == "location_select":
            latitude, longitude, label = self._random.choice(self.repertoire.places)
            place = {"Location_X": latitude, "Location_Y": longitude, "Scale": "16"}
            return {"SendLocationInfo": {**place, "Label": label, "Poiname": ""}}
        picture = {"PicMd5Sum": f"{self._random.getrandbits(128):032x}"}
        return {"SendPicsInfo": {"Count": 1, "PicList": {"item": picture}}}

    # --- Messages ---

    def _write(self, follower: Follower, at: int) -> Push:
        text = self._random.choice(self.repertoire.texts)
        return self._message(follower, at, "text", {"Content": text})

    def _ask_to_unbind(self, follower: Follower, at: int) -> Push:
        """By somebody who scanned a code; while there is nobody, the follower just writes."""
        scanned = [person for person in self._following if person.has_scanned_code]
        person = self._idle(scanned, at)
        if person is None:
            return self._write(follower, at)
        person.has_scanned_code = False
        return self._message(person, at, "text", {"Content": self.repertoire.unbind_text})

    def _send_image(self, follower: Follower, at: int) -> Push:
        url = f"http://mmbiz.qpic.cn/mmbiz_jpg/{self._letters(32)}/0"
        return self._message(follower, at, "image", {"PicUrl": url, "MediaId": self._letters(64)})

    def _send_voice(self, follower: Follower, at: int) -> Push:
        media_id = self._letters(64)
        fields = {"MediaId": media_id, "Format": "amr", "MediaId16K": f"{media_id}16K"}
        return self._message(follower, at, "voice", fields)

    def _send_video(self, follower: Follower, at: int) -> Push:
        fields = {"MediaId": self._letters(64), "ThumbMediaId": self._letters(64)}
        return self._message(follower, at, self._random.choice(["video", "shortvideo"]), fields)

    def _send_location(self, follower: Follower, at: int) -> Push:
        latitude, longitude, label = self._random.choice(self.repertoire.places)
        fields: Fields = {
            "Location_X": latitude,
            "Location_Y": longitude,
            "Scale": 16,
            "Label": label,
        }
        return self._message(follower, at, "location", fields)

    def _send_link(self, follower: Follower, at: int) -> Push:
        fields = {
            "Title": "活动说明",
            "Description": "规则 & 时间 <必读>",
            "Url": self._random.choice(self.repertoire.urls),
        }
        return self._message(follower, at, "link", fields)

    # --- What needs no doing ---

    def _report_position(self, follower: Follower, at: int) -> Push:
        latitude, longitude, _label = self._random.choice(self.repertoire.places)
        fields = {"Latitude": latitude, "Longitude": longitude, "Precision": "65.000000"}
        return self._event(follower, at, "LOCATION", None, fields)

    def _receive_notice(self, follower: Follower, at: int) -> Push:
        fields: Fields = {"MsgID": self._msg_id(), "Status": "success"}
        return self._event(follower, at, "TEMPLATESENDJOBFINISH", None, fields)

    # --- Pushes ---

    def _event(
        self,
        follower: Follower,
        at: int,
        event: str,
        event_key: str | None = "",
        fields: Fields | None = None,
    ) -> Push:
        follower.last_act = at
        return event_push(self._original_id, follower.openid, at, event, event_key, fields)

    def _message(self, follower: Follower, at: int, msg_type: str, fields: Fields) -> Push:
        follower.last_act = at
        return message_push(
            self._original_id, follower.openid, at, msg_type, self._msg_id(), fields
        )

    # --- Chance ---

    def _poster(self) -> Poster:
        posters = self.repertoire.posters
        return self._random.choices(posters, [poster.weight for poster in posters])[0]

    def _favourite(self, choices: tuple[str, ...]) -> str:
        """One of them; the earlier it stands, the more it is liked."""
        return choices[int(len(choices) * self._random.random() ** 2)]

    def _msg_id(self) -> int:
        self._next_msg_id += self._random.randrange(1, 1000)
        return self._next_msg_id

    def _letters(self, length: int) -> str:
        return "".join(self._random.choices(_OPENID_LETTERS, k=length))

    def _digits(self, length: int) -> str:
        return "".join(self._random.choices(string.digits, k=length))
