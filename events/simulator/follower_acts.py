"""Makes the pushes of followers' acts."""

from __future__ import annotations

import string
from dataclasses import dataclass
from random import Random

from .pushes import Fields, Push, event_push, message_push
from .repertoire import Poster, Repertoire

__all__ = ["Acts", "Follower"]

_OPENID_LETTERS = string.ascii_letters + string.digits + "_-"


@dataclass(slots=True, eq=False)
class Follower:
    """One person. Times are in Unix seconds; 0 means never or unknown.

    `follow_key` is the EventKey of the last follow: `qrscene_…`, `last_trade_no_…` or "".
    """

    openid: str
    is_following: bool = False
    last_act: int = 0
    has_scanned_code: bool = False
    followed_at: int = 0
    follow_key: str = ""


class Acts:
    """Acts on the account `original_id`; each act records its time in its follower.

    `repertoire` lists what followers can do; it may be replaced at any time.
    """

    def __init__(self, original_id: str, *, random: Random, repertoire: Repertoire) -> None:
        self._original_id = original_id
        self._random = random
        self.repertoire = repertoire
        self._next_msg_id = random.randrange(10**16, 10**18)

    def scan_poster(self, follower: Follower, at: int) -> Push:
        poster = self.poster()
        return self.event(follower, at, "SCAN", poster.scene, {"Ticket": poster.ticket})

    # --- The menu ---

    def tap_key(self, follower: Follower, at: int) -> Push:
        return self.event(follower, at, "CLICK", self._favourite(self.repertoire.menu_keys))

    def tap_url(self, follower: Follower, at: int) -> Push:
        url = self._favourite(self.repertoire.urls)
        return self.event(follower, at, "VIEW", url, {"MenuId": 428796990})

    def tap_mini_program(self, follower: Follower, at: int) -> Push:
        page = self._favourite(self.repertoire.pages)
        return self.event(follower, at, "view_miniprogram", page, {"MenuId": 428796990})

    def use_tool(self, follower: Follower, at: int) -> Push:
        event, key = self._random.choice(self.repertoire.tools)
        return self.event(follower, at, event, key, self._made_with(event))

    def _made_with(self, event: str) -> Fields:
        """Returns the further fields of a tap on an entry that opens scanner, map or camera."""
        if event.startswith("scancode_"):
            scanned = {"ScanType": "barcode", "ScanResult": f"EAN_13,69{self.digits(11)}"}
            return {"ScanCodeInfo": scanned}
        if event == "location_select":
            latitude, longitude, label = self._random.choice(self.repertoire.places)
            place = {"Location_X": latitude, "Location_Y": longitude, "Scale": "16"}
            return {"SendLocationInfo": {**place, "Label": label, "Poiname": ""}}
        picture = {"PicMd5Sum": f"{self._random.getrandbits(128):032x}"}
        return {"SendPicsInfo": {"Count": 1, "PicList": {"item": picture}}}

    # --- Messages ---

    def write(self, follower: Follower, at: int) -> Push:
        text = self._random.choice(self.repertoire.texts)
        return self.message(follower, at, "text", {"Content": text})

    def send_image(self, follower: Follower, at: int) -> Push:
        url = f"http://mmbiz.qpic.cn/mmbiz_jpg/{self.letters(32)}/0"
        return self.message(follower, at, "image", {"PicUrl": url, "MediaId": self.letters(64)})

    def send_voice(self, follower: Follower, at: int) -> Push:
        media_id = self.letters(64)
        fields = {"MediaId": media_id, "Format": "amr", "MediaId16K": f"{media_id}16K"}
        return self.message(follower, at, "voice", fields)

    def send_video(self, follower: Follower, at: int) -> Push:
        fields = {"MediaId": self.letters(64), "ThumbMediaId": self.letters(64)}
        return self.message(follower, at, self._random.choice(["video", "shortvideo"]), fields)

    def send_location(self, follower: Follower, at: int) -> Push:
        latitude, longitude, label = self._random.choice(self.repertoire.places)
        fields: Fields = {
            "Location_X": latitude,
            "Location_Y": longitude,
            "Scale": 16,
            "Label": label,
        }
        return self.message(follower, at, "location", fields)

    def send_link(self, follower: Follower, at: int) -> Push:
        fields = {
            "Title": "活动说明",
            "Description": "规则 & 时间 <必读>",
            "Url": self._random.choice(self.repertoire.urls),
        }
        return self.message(follower, at, "link", fields)

    # --- Events without an act of the follower ---

    def report_position(self, follower: Follower, at: int) -> Push:
        latitude, longitude, _label = self._random.choice(self.repertoire.places)
        fields = {"Latitude": latitude, "Longitude": longitude, "Precision": "65.000000"}
        return self.event(follower, at, "LOCATION", None, fields)

    def receive_notice(self, follower: Follower, at: int) -> Push:
        fields: Fields = {"MsgID": self._msg_id(), "Status": "success"}
        return self.event(follower, at, "TEMPLATESENDJOBFINISH", None, fields)

    # --- Pushes ---

    def event(
        self,
        follower: Follower,
        at: int,
        event: str,
        event_key: str | None = "",
        fields: Fields | None = None,
    ) -> Push:
        follower.last_act = at
        return event_push(self._original_id, follower.openid, at, event, event_key, fields)

    def message(self, follower: Follower, at: int, msg_type: str, fields: Fields) -> Push:
        follower.last_act = at
        return message_push(
            self._original_id, follower.openid, at, msg_type, self._msg_id(), fields
        )

    # --- Chance ---

    def poster(self) -> Poster:
        posters = self.repertoire.posters
        return self._random.choices(posters, [poster.weight for poster in posters])[0]

    def _favourite(self, choices: tuple[str, ...]) -> str:
        """Returns one of the choices; earlier ones are more likely."""
        return choices[int(len(choices) * self._random.random() ** 2)]

    def _msg_id(self) -> int:
        self._next_msg_id += self._random.randrange(1, 1000)
        return self._next_msg_id

    def letters(self, length: int) -> str:
        return "".join(self._random.choices(_OPENID_LETTERS, k=length))

    def digits(self, length: int) -> str:
        return "".join(self._random.choices(string.digits, k=length))
