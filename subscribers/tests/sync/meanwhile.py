"""What happens while WeChat answers."""

from __future__ import annotations

from typing import Any

import pytest

from events.wechat.api.users import Users
from subscribers.models import Erasure
from subscribers.personal_data.erase import erase

__all__ = ["erase_while_wechat_answers"]


def erase_while_wechat_answers(monkeypatch: pytest.MonkeyPatch, request: Erasure) -> None:
    """Carries the request out between WeChat's first answer about followers and its use."""
    infos = Users.infos

    def erase_meanwhile(users: Users, openids: Any) -> Any:
        answer = infos(users, openids)
        if request.erased_at is None:
            erase(request)
        return answer

    monkeypatch.setattr(Users, "infos", erase_meanwhile)
