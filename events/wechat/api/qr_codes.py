"""QR codes with a scene (生成带参数的二维码)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .transport.answer_fields import number, text
from .transport.api_errors import BadAnswer
from .transport.calls import Calls
from .transport.http import Wire

__all__ = [
    "CREATE_PATH",
    "LONGEST_LIFE",
    "LONGEST_SCENE",
    "PERMANENT_SCENE_IDS",
    "QRCode",
    "QRCodes",
]

# The longest life of a temporary code in seconds, the longest scene in characters, and the numbers
# that a permanent code may have as scene.
LONGEST_LIFE = 30 * 24 * 3600
LONGEST_SCENE = 64
PERMANENT_SCENE_IDS = range(1, 100_001)

CREATE_PATH = "/cgi-bin/qrcode/create"
_SHOW = "/cgi-bin/showqrcode"


@dataclass(frozen=True, slots=True)
class QRCode:
    """A code: `ticket` identifies it, `url` is its text, `expire_seconds` is None if permanent.

    Anyone who knows `ticket` or `url` can scan the code, so repr() shows neither.
    """

    ticket: str = field(repr=False)
    url: str = field(repr=False)
    expire_seconds: int | None


class QRCodes:
    """Makes codes. Not idempotent: a repeated call makes another ticket."""

    def __init__(self, calls: Calls, wire: Wire) -> None:
        self._calls = calls
        self._wire = wire

    def create_temporary(
        self, scene: str | int, *, expire_seconds: int, is_secret: bool = False
    ) -> QRCode:
        """Makes a code for 1 to 2,592,000 seconds.

        The scene is a text of 1 to 64 characters or a 32-bit number except 0. If `is_secret`, error
        texts hide the scene, should WeChat repeat it. Raises ValueError outside these limits.
        """
        if not 1 <= expire_seconds <= LONGEST_LIFE:
            raise ValueError(f"expire_seconds must be 1 to {LONGEST_LIFE}")
        if isinstance(scene, int) and not 0 < scene < 2**32:
            raise ValueError("a scene that is a number must be 1 to 4294967295")
        # WeChat's default is short and has changed, so always send the time.
        lifetime = {"expire_seconds": expire_seconds}
        secret = str(scene) if is_secret else ""
        return self._create("QR_STR_SCENE", "QR_SCENE", scene, lifetime, secret)

    def create_permanent(self, scene: str | int) -> QRCode:
        """Makes a code that cannot be deleted; an account can have 100,000 of them.

        A scene that is a number must be 1 to 100,000. Raises ValueError outside these limits.
        """
        if isinstance(scene, int) and scene not in PERMANENT_SCENE_IDS:
            raise ValueError(f"a permanent scene must be 1 to {PERMANENT_SCENE_IDS[-1]}")
        return self._create("QR_LIMIT_STR_SCENE", "QR_LIMIT_SCENE", scene, {})

    def picture_url(self, ticket: str) -> str:
        """Returns the picture's address for a browser, which needs no token for it."""
        return f"{self._wire.mp_base}{_SHOW}?ticket={quote(ticket, safe='')}"

    def _create(
        self,
        text_action: str,
        number_action: str,
        scene: str | int,
        more: dict[str, Any],
        secret: str = "",
    ) -> QRCode:
        wrapped: dict[str, Any]
        if isinstance(scene, str):
            if not 1 <= len(scene) <= LONGEST_SCENE:
                raise ValueError(f"a scene must have 1 to {LONGEST_SCENE} characters")
            action, wrapped = text_action, {"scene_str": scene}
        else:
            action, wrapped = number_action, {"scene_id": scene}
        answer = self._calls.post(
            CREATE_PATH,
            {**more, "action_name": action, "action_info": {"scene": wrapped}},
            secret=secret,
        )
        ticket = text(answer, "ticket")
        if not ticket:
            raise BadAnswer(CREATE_PATH, "no ticket in the answer")
        return QRCode(ticket, text(answer, "url"), number(answer, "expire_seconds") or None)
