"""WeChat's daily figures (数据统计)."""

from __future__ import annotations

import datetime

from events.simulator.fake_api.apis.call import Api, ApiCall, Fields
from events.simulator.fake_api.call_answers import Refusal
from events.simulator.fake_api.fake_account import FakeAccount
from events.wechat.beijing_time import beijing_day

__all__ = ["DATACUBE"]


def _user_summary(account: FakeAccount, call: ApiCall) -> Fields:
    return {
        "list": [
            {
                "ref_date": day.isoformat(),
                "user_source": source,
                "new_user": new,
                "cancel_user": cancelled,
            }
            for day in _days(call)
            for source, new, cancelled in account.summary(day)
        ]
    }


def _user_cumulate(account: FakeAccount, call: ApiCall) -> Fields:
    return {
        "list": [
            {"ref_date": day.isoformat(), "user_source": 0, "cumulate_user": account.cumulate(day)}
            for day in _days(call)
        ]
    }


def _days(call: ApiCall) -> list[datetime.date]:
    """Returns the requested days that are ready: yesterday is ready from eight in the morning."""
    try:
        begin, end = (
            datetime.date.fromisoformat(call.body.get(name, ""))
            for name in ("begin_date", "end_date")
        )
    except (TypeError, ValueError):
        raise Refusal(61500) from None
    if not 0 <= (end - begin).days < 7 or end >= beijing_day(call.now):
        raise Refusal(61501)
    last_ready = beijing_day(call.now - 8 * 3600) - datetime.timedelta(days=1)
    days = (begin + datetime.timedelta(days=number) for number in range((end - begin).days + 1))
    return [day for day in days if day <= last_ready]


DATACUBE: dict[str, Api] = {
    "/datacube/getusersummary": Api("POST", _user_summary, needs_certification=True),
    "/datacube/getusercumulate": Api("POST", _user_cumulate, needs_certification=True),
}
