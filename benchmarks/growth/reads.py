"""Lists every read of the site whose cost must not depend on the length of the log."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from benchmarks.filling import ACCOUNT, RETIRED_ACCOUNT
from events.models import EventLog, OfficialAccount
from subscribers.models import Binding, QRScene, Subscriber

__all__ = ["Read", "all_reads"]

_NEVER = "never-there"
# Filters that refuse a value which the log does not have.
_OF_KNOWN_VALUES = {"kind", "msg_type", "event", "scene", "first_scene", "last_scene"}


@dataclass(frozen=True, slots=True)
class Read:
    """One address and what it shows; `combined` if it has several filters."""

    name: str
    url: str
    combined: bool = False
    status: int = 200


def all_reads(now: datetime.datetime) -> list[Read]:
    """All reads of the database in use; it must be filled."""
    return [*_api_of_events(now), *_other_api(now), *_admin(now)]


def _api(name: str, path: str, *, combined: bool = False, **query: Any) -> Read:
    is_refused = any(query.get(name) == _NEVER for name in _OF_KNOWN_VALUES)
    status = 400 if is_refused else 200
    return Read(f"API {name}", f"/api/v1/{path}?{urlencode(query)}", combined, status)


def _cursor(position: int) -> str:
    return base64.b64encode(f"p={position}".encode()).decode()


def _written(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _microseconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp()) * 1_000_000


def _middle(model: type[EventLog] | type[Subscriber] | type[Binding]) -> int:
    return int(model._default_manager.order_by("-pk").values_list("pk", flat=True)[0]) // 2


def _filters_of_events() -> dict[str, list[Any]]:
    follower = Subscriber.objects.order_by("-event_count").values_list("openid", flat=True)[0]
    return {
        "account": [ACCOUNT, RETIRED_ACCOUNT],
        "kind": ["event.click", "event.templatesendjobfinish", _NEVER],
        "msg_type": ["text", "event", _NEVER],
        "event": ["CLICK", "TEMPLATESENDJOBFINISH", _NEVER],
        "event_key": ["MENU_0", "MENU_RETIRED", _NEVER],
        "scene": ["poster-0", "poster-retired", _NEVER],
        "openid": [follower, _NEVER],
        "status": ["processed", "dead", "failed"],
    }


def _api_of_events(now: datetime.datetime) -> Iterator[Read]:
    middle = _middle(EventLog)
    yield _api("events", "events/")
    yield _api("events, deep", "events/", cursor=_cursor(middle))
    yield _api("events, 1000 a page", "events/", page_size=1000)
    yield _api("one event", f"events/{middle}/")
    for name, values in _filters_of_events().items():
        for value in values:
            yield _api(f"events, {name}={value}", "events/", **{name: value})
            yield _api(
                f"events, {name}={value}, deep",
                "events/",
                **{name: value, "cursor": _cursor(middle)},
            )
    moments = {
        "an hour ago": now - datetime.timedelta(hours=1),
        "half a year ago": now - datetime.timedelta(days=180),
        "two years ago": now - datetime.timedelta(days=730),
        "next year": now + datetime.timedelta(days=365),
    }
    for name in ("event_time_after", "event_time_before", "received_after", "received_before"):
        for words, moment in moments.items():
            written: dict[str, Any] = {name: _written(moment)}
            yield _api(f"events, {name} {words}", "events/", **written)
    for name, after in [("the beginning", 0), ("the middle", middle), ("the end", 2 * middle)]:
        yield _api(f"events, sync from {name}", "events/", after_id=after)
    rare_filters: dict[str, Any] = {
        "kind": "event.templatesendjobfinish",
        "account": RETIRED_ACCOUNT,
        "event_key": "MENU_RETIRED",
    }
    for name, value in rare_filters.items():
        yield _api(f"events, sync, {name}={value}", "events/", after_id=middle, **{name: value})

    def together(name: str, **query: Any) -> Read:
        return _api(f"events, {name}", "events/", combined=True, **query)

    old_day = now - datetime.timedelta(days=200)
    day: dict[str, Any] = {
        "event_time_after": _written(old_day),
        "event_time_before": _written(old_day + datetime.timedelta(days=1)),
    }
    rare = "event.templatesendjobfinish"
    yield together("account and rare kind", account=ACCOUNT, kind=rare)
    yield together("one old day", **day)
    yield together("account, one old day", account=ACCOUNT, **day)
    yield together("frequent kind, one old day", kind="event.click", **day)
    yield together("rare kind, one old day", kind=rare, **day)
    yield together("menu key, one old day", event_key="MENU_0", **day)
    yield together("account, kind, one old day", account=ACCOUNT, kind="event.click", **day)
    yield together("msg_type, one old day", msg_type="event", **day)
    yield together("two that never meet", kind="text", event_key="MENU_0")
    yield together("account and status", account=RETIRED_ACCOUNT, status="dead")
    yield together("follower and kind", openid=_filters_of_events()["openid"][0], kind="text")
    yield together("retired account, frequent kind", account=RETIRED_ACCOUNT, kind="text")
    yield together("sync of the last day", after_id="0", event_time_after=_written(now - _DAY))


_DAY = datetime.timedelta(days=1)


def _other_api(now: datetime.datetime) -> Iterator[Read]:
    follower = Subscriber.objects.order_by("-event_count")[0]
    middle = _middle(Subscriber)
    yield _api("followers", "subscribers/")
    yield _api("followers, deep", "subscribers/", cursor=_cursor(middle))
    yield _api("one follower", f"subscribers/{follower.pk}/")
    filters: dict[str, list[Any]] = {
        "account": [ACCOUNT, RETIRED_ACCOUNT],
        "openid": [follower.openid, _NEVER],
        "is_following": ["true", "false"],
        "first_scene": ["poster-0", "poster-retired", _NEVER],
        "last_scene": ["poster-9", _NEVER],
        "bound": ["true", "false"],
        "followed_after": [_written(now - _DAY * n) for n in (1, 180, 730, -365)],
        "followed_before": [_written(now - _DAY * n) for n in (1, 180, 730, -365)],
        "updated_after": [_written(now - _DAY * n) for n in (1, 180, 730, -365)],
    }
    for name, values in filters.items():
        for number, value in enumerate(values):
            words = ("1 d", "180 d", "730 d", "-365 d")[number] if "_after" in name else value
            words = ("1 d", "180 d", "730 d", "-365 d")[number] if "_before" in name else words
            yield _api(f"followers, {name}={words}", "subscribers/", **{name: value})
    yield _api(
        "followers, account and following",
        "subscribers/",
        combined=True,
        account=ACCOUNT,
        is_following="false",
    )
    yield _api("scenes", "scenes/")
    yield _api("scenes, scene=poster-0", "scenes/", scene="poster-0")
    yield _api("bindings", "bindings/")
    yield _api("bindings, deep", "bindings/", cursor=_cursor(_middle(Binding)))
    bound = Binding.objects.select_related("subscriber").order_by("pk")[0]
    of_bindings: dict[str, Any] = {
        "account": ACCOUNT,
        "openid": bound.subscriber.openid,
        "user": "user0",
        "active": "false",
    }
    for name, value in of_bindings.items():
        yield _api(f"bindings, {name}", "bindings/", **{name: value})
    yield _api("binding requests", "binding-requests/")
    yield _api("binding requests, user", "binding-requests/", user="user0")
    yield _api("accounts", "accounts/")


def _admin(now: datetime.datetime) -> Iterator[Read]:
    def listed(name: str, model: str, *, combined: bool = False, **query: Any) -> Read:
        url = f"{reverse(f'admin:{model}_changelist')}?{urlencode(query)}"
        return Read(f"admin {name}", url, combined)

    def page(name: str, model: str, key: int) -> Read:
        return Read(f"admin {name}", reverse(f"admin:{model}_change", args=[key]))

    follower = Subscriber.objects.order_by("-event_count")[0]
    middle, log = _middle(EventLog), "events_eventlog"
    yield Read("admin dashboard", "/admin/")
    yield Read("admin dashboard, one account", f"/admin/?account={ACCOUNT}")
    yield listed("events", log)
    yield listed("events, deep", log, older_than=middle)
    yield listed("events, deep, newer", log, newer_than=middle)
    of_events: dict[str, list[Any]] = {
        "account": [ACCOUNT, RETIRED_ACCOUNT],
        "kind": ["event.click", "event.templatesendjobfinish"],
        "status": ["processed", "dead", "failed"],
        "days": ["1", "7", "30"],
    }
    for name, values in of_events.items():
        for value in values:
            yield listed(f"events, {name}={value}", log, **{name: value})
            if value == "1":
                continue  # a small log has no second page of today
            # The cursor of a list that is sorted by time has the time too.
            place = f"{_microseconds(now - _DAY / 2)}_{middle}" if name == "days" else middle
            deep: dict[str, Any] = {name: value, "older_than": place}
            yield listed(f"events, {name}={value}, deep", log, **deep)
    for name, term in {
        "a follower": follower.openid,
        "a scene": "poster-0",
        "a menu key": "MENU_0",
        "a rare menu key": "MENU_RETIRED",
        "a number": f"#{middle}",
        "nothing there": _NEVER,
    }.items():
        yield listed(f"events, search for {name}", log, q=term)
    yield listed("events, kind and days", log, combined=True, kind="event.click", days="7")
    yield listed("events, account and kind", log, combined=True, account=ACCOUNT, kind="text")
    yield listed(
        "events, account and rare kind",
        log,
        combined=True,
        account=ACCOUNT,
        kind="event.templatesendjobfinish",
    )
    yield page("one event", log, middle)
    followers = "subscribers_subscriber"
    yield listed("followers", followers)
    yield listed("followers, deep", followers, older_than=_middle(Subscriber))
    of_followers: dict[str, list[Any]] = {
        "account": [ACCOUNT, RETIRED_ACCOUNT],
        "following": ["yes", "no"],
        "bound": ["yes", "no"],
    }
    for name, values in of_followers.items():
        for value in values:
            yield listed(f"followers, {name}={value}", followers, **{name: value})
    for name, term in {
        "OpenID": follower.openid,
        "scene": "poster-0",
        "user": "user1",
        "nothing there": _NEVER,
    }.items():
        yield listed(f"followers, search for {name}", followers, q=term)
    yield page("one follower with his events", followers, follower.pk)
    yield listed("scenes", "subscribers_qrscene")
    yield listed("scenes made elsewhere", "subscribers_seenscene")
    yield listed("scenes made elsewhere, search", "subscribers_seenscene", q="poster-39")
    yield page("one scene", "subscribers_qrscene", QRScene.objects.order_by("pk")[0].pk)
    for model in ("binding", "bindingrequest", "bindingscan"):
        yield listed(f"{model} list", f"subscribers_{model}")
        yield listed(f"{model} search", f"subscribers_{model}", q=follower.openid)
    yield listed("accounts", "events_officialaccount")
    yield page(
        "one account", "events_officialaccount", OfficialAccount.objects.get(slug=ACCOUNT).pk
    )
