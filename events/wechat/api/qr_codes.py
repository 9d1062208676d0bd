"""QR codes with a scene (生成带参数的二维码)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .transport.answer_fields import number, text
from .transport.api_errors import BadAnswer, TicketUnknown
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

# Seconds a temporary code may live, characters of a scene, and the numbers of permanent ones.
LONGEST_LIFE = 30 * 24 * 3600
LONGEST_SCENE = 64
PERMANENT_SCENE_IDS = range(1, 100_001)

CREATE_PATH = "/cgi-bin/qrcode/create"
_SHOW = "/cgi-bin/showqrcode"


@dataclass(frozen=True, slots=True)
class QRCode:
    """A code: `ticket` names it, `url` is the text to draw, `expire_seconds` None if permanent.

    Anyone who has a code can scan it, so neither is shown in a repr.
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
        """A code for 1 to 2,592,000 seconds; a scene is 1 to 64 characters or 32 bits, not 0.

        A secret scene is kept out of error texts, should WeChat repeat it. Raises ValueError
        outside these limits.
        """
        if not 1 <= expire_seconds <= LONGEST_LIFE:
            raise ValueError(f"expire_seconds must be 1 to {LONGEST_LIFE}")
        if isinstance(scene, int) and not 0 < scene < 2**32:
            raise ValueError("a scene that is a number must be 1 to 4294967295")
        # The default is short and has changed, so the time is always sent.
        lifetime = {"expire_seconds": expire_seconds}
        secret = str(scene) if is_secret else ""
        return self._create("QR_STR_SCENE", "QR_SCENE", scene, lifetime, secret)

    def create_permanent(self, scene: str | int) -> QRCode:
        """A code that cannot be deleted, 100,000 per account; a number must be 1 to 100,000.

        Raises ValueError outside these limits.
        """
        if isinstance(scene, int) and scene not in PERMANENT_SCENE_IDS:
            raise ValueError(f"a permanent scene must be 1 to {PERMANENT_SCENE_IDS[-1]}")
        return self._create("QR_LIMIT_STR_SCENE", "QR_LIMIT_SCENE", scene, {})

    def picture(self, ticket: str) -> bytes:
        """The code as JPEG. Raises `TicketUnknown` if the ticket is wrong or has expired."""
        picture = self._wire.picture(_SHOW, {"ticket": ticket})
        if picture is None:
            raise TicketUnknown("there is no picture for this ticket")
        return picture

    def picture_url(self, ticket: str) -> str:
        """Where a browser finds the picture; no token is needed for it."""
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
