"""Finds the names of the QR codes whose scenes events and followers have."""

from __future__ import annotations

from collections.abc import Iterable

from subscribers.models import QRScene

__all__ = ["CodeNames"]


class CodeNames:
    """The names of the codes of some accounts that carry these scenes, found in one query."""

    def __init__(self, accounts: Iterable[int], scenes: Iterable[str]) -> None:
        self._names = QRScene.objects.names_of(accounts, scenes)

    def of(self, account: int, scene: str) -> str:
        """The code's name; "" if no code here carries the scene, or the name is the scene."""
        return self._names.get((account, scene), "")

    def in_words(self, account: int, scene: str) -> str:
        """The name with the scene behind it; only the scene if it has no name."""
        name = self.of(account, scene)
        return f"{name} ({scene})" if name else scene
