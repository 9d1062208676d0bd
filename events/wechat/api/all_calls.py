"""The client of one account: all its calls, by group."""

from __future__ import annotations

from .auto_replies import AutoReplies
from .custom_messages import CustomMessages
from .datacube import Datacube
from .diagnostics import Diagnostics
from .js_tickets import JsTickets
from .media import Media
from .menus import Menus
from .qr_codes import QRCodes
from .tags import Tags
from .transport.calls import Calls
from .transport.http import Wire
from .transport.token_source import TokenSource
from .users import Users

__all__ = ["Client"]


class Client:
    """WeChat's API as one account sees it. Safe to share between threads, if `tokens` is.

    Every call raises `APIError` and its subclasses. It raises ValueError, before it sends anything,
    for arguments outside WeChat's documented limits.
    """

    def __init__(self, wire: Wire, tokens: TokenSource) -> None:
        calls = Calls(wire, tokens)
        self.qr_codes = QRCodes(calls, wire)
        self.users = Users(calls)
        self.tags = Tags(calls)
        self.media = Media(calls)
        self.menus = Menus(calls)
        self.auto_replies = AutoReplies(calls)
        self.custom_messages = CustomMessages(calls)
        self.datacube = Datacube(calls)
        self.diagnostics = Diagnostics(calls)
        self.js_tickets = JsTickets(calls)
