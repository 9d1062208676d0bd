"""Fills a fresh database with a believable log of any size, in SQL.

The log has 55 % menu clicks and links, 25 % texts, 10 % follows (a quarter of them by a poster),
5 % unfollows and 5 % scans, over the thirteen months up to now, in the order of their receipt. It
has one follower for twenty events; some are far busier than others. Only the oldest rows have a
rare kind, a rare menu key, poster and account, and failures. A list that walks back from the newest
row to find these is slow, so the benchmark notices it.
"""

from __future__ import annotations

import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from events.models import EventLog, OfficialAccount
from subscribers.models import Binding, BindingRequest, BindingScan, QRScene, SeenScene, Subscriber

__all__ = ["ACCOUNT", "RARE", "RETIRED_ACCOUNT", "fill"]

ACCOUNT, RETIRED_ACCOUNT = "shop", "retired"
# How many rows each rare sort has, at every size of the log.
RARE = 60
_DAYS = 395
_PORTION = 500_000
_FOLLOWERS_TO_EVENTS, _BINDINGS_TO_FOLLOWERS, _BINDINGS_AT_LEAST = 20, 100, 250
# Some of the posters in use come from another system.
_POSTERS, _POSTERS_OF_OTHERS, _FOLLOWERS_TO_VISITORS = 40, 10, 5

_WORDS = {
    "postgresql": {
        "series": "generate_series(%(first)s::bigint, %(last)s::bigint) AS series(n)",
        "time": "to_timestamp({0})",
        "digits": "lpad(({0})::text, 20, '0')",
        "key": "md5(n::text)",
        "bytes": "convert_to({0}, 'UTF8')",
        "floor": "floor({0})::bigint",
    },
    "sqlite": {
        "series": (
            "(WITH RECURSIVE counted(n) AS (SELECT %(first)s UNION ALL SELECT n + 1 FROM counted "
            "WHERE n < %(last)s) SELECT n FROM counted) AS series"
        ),
        "time": "strftime('%%Y-%%m-%%d %%H:%%M:%%S', {0}, 'unixepoch')",
        "digits": "printf('%%020d', {0})",
        "key": "lower(hex(randomblob(16)))",
        "bytes": "CAST({0} AS BLOB)",
        "floor": "CAST({0} AS INTEGER)",
    },
}


def fill(rows: int, *, now: datetime.datetime | None = None) -> None:
    """Adds the accounts, `rows` events, and the followers, posters and bindings to go with them.

    It drops the indexes first and makes them again at the end, which is quicker.
    """
    now = now or timezone.now()
    accounts = [_account(ACCOUNT), _account(RETIRED_ACCOUNT)]
    if not rows:
        return
    if rows < 100 * RARE:
        raise ValueError(f"A log of fewer than {100 * RARE} events would be all rarities.")
    _make_months(now)
    indexes = [*EventLog._meta.indexes]
    with connection.schema_editor(atomic=False) as editor:
        for index in indexes:
            editor.remove_index(EventLog, index)
    if connection.vendor == "sqlite":
        _set("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000")
    _fill_log(rows, accounts, now)
    with connection.schema_editor(atomic=False) as editor:
        for index in indexes:
            editor.add_index(EventLog, index)
    _fill_followers()
    _fill_posters_and_bindings(accounts[0], now)
    if connection.vendor == "sqlite":
        _set("journal_mode = WAL", "synchronous = FULL", "cache_size = -2000")
    else:
        _vacuum()


def _account(slug: str) -> OfficialAccount:
    return OfficialAccount.objects.create(
        slug=slug,
        name=slug,
        original_id="gh_5f2c81d0a7be",
        app_id="wx3a9f0c27d81be645",
        token="Rk7mWechatTok2026",
        encoding_aes_key="mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD",
        security_mode="safe",
    )


def _set(*pragmas: str) -> None:
    with connection.cursor() as cursor:
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")


def _vacuum() -> None:
    """Does now what PostgreSQL's autovacuum would do later."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _make_months(now: datetime.datetime) -> None:
    """Makes the partitions of the months to fill, if the log is partitioned."""
    if connection.vendor != "postgresql":
        return
    table = EventLog._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT relkind FROM pg_class WHERE oid = %s::regclass", [table])
        if cursor.fetchone() != ("p",):
            return
        this = now.year * 12 + now.month - 1
        for number in range(this - _DAYS // 28, this + 1):
            (year, month), (next_year, next_month) = divmod(number, 12), divmod(number + 1, 12)
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {table}_{year:04}_{month + 1:02} PARTITION OF {table} "
                f"FOR VALUES FROM ('{year:04}-{month + 1:02}-01 00:00:00+00') "
                f"TO ('{next_year:04}-{next_month + 1:02}-01 00:00:00+00')"
            )


def _fill_log(rows: int, accounts: list[OfficialAccount], now: datetime.datetime) -> None:
    statement = _log_statement()
    end = int(now.timestamp()) - 60
    constants = {
        "rows": rows,
        "followers": max(rows // _FOLLOWERS_TO_EVENTS, 1),
        "start": end - _DAYS * 86400,
        "seconds": _DAYS * 86400,
        "account": accounts[0].pk,
        "retired": accounts[1].pk,
    }
    for first in range(1, rows + 1, _PORTION):
        portion = {"first": first, "last": min(first + _PORTION - 1, rows)}
        with transaction.atomic(), connection.cursor() as cursor:
            # Filled in here, because Django's cursors take no named parameters on SQLite.
            cursor.execute(statement % (constants | portion))


def _log_statement() -> str:
    words = _WORDS[connection.vendor]
    time, digits, floor, as_bytes = (words[w] for w in ("time", "digits", "floor", "bytes"))
    # 48271 and 1000 have no common factor, so in any thousand consecutive rows each h occurs once.
    numbers = f"""
        SELECT n, (n * 48271) %% 1000 AS h,
            ((n * 2654435761) %% 4294967296) / 4294967296.0 AS u,
            ((n * 40503) %% 65536) / 65536.0 AS v,
            %(start)s + ({floor.format("n * 1.0 / %(rows)s * %(seconds)s")}) AS at
        FROM {words["series"]}
    """
    kinds = f"""
        SELECT numbers.*,
            CASE WHEN n <= {RARE} THEN 'event.templatesendjobfinish'
                WHEN h < 250 THEN 'text' WHEN h < 550 THEN 'event.click'
                WHEN h < 800 THEN 'event.view' WHEN h < 900 THEN 'event.subscribe'
                WHEN h < 950 THEN 'event.unsubscribe' ELSE 'event.scan' END AS kind,
            'oT3xk5Qm' || {digits.format(floor.format("u * u * %(followers)s"))} AS openid,
            CASE WHEN n > {2 * RARE} AND n <= {3 * RARE} THEN 'poster-retired'
                ELSE 'poster-' || {floor.format(f"v * v * {_POSTERS}")} END AS poster
        FROM ({numbers}) AS numbers
    """
    keys = f"""
        SELECT kinds.*,
            CASE WHEN kind = 'event.click' AND n > {RARE} AND n <= {2 * RARE} THEN 'MENU_RETIRED'
                WHEN kind = 'event.click' THEN 'MENU_' || {floor.format("v * v * 24")}
                WHEN kind = 'event.view'
                THEN 'https://shop.example.com/pages/' || {floor.format("v * v * 30")}
                WHEN kind = 'event.subscribe' AND h %% 4 = 0 THEN 'qrscene_' || poster
                WHEN kind = 'event.scan' THEN poster ELSE '' END AS event_key,
            CASE WHEN kind = 'event.scan' OR kind = 'event.subscribe' AND h %% 4 = 0
                THEN poster ELSE '' END AS scene,
            CASE kind WHEN 'text' THEN 'text' ELSE 'event' END AS msg_type,
            CASE kind WHEN 'text' THEN '' WHEN 'event.click' THEN 'CLICK'
                WHEN 'event.view' THEN 'VIEW' WHEN 'event.scan' THEN 'SCAN'
                WHEN 'event.subscribe' THEN 'subscribe' WHEN 'event.unsubscribe' THEN 'unsubscribe'
                ELSE 'TEMPLATESENDJOBFINISH' END AS event,
            CASE kind WHEN 'text' THEN CAST(7000000000000000000 + n AS TEXT) ELSE '' END AS msg_id,
            CASE WHEN n > {3 * RARE} AND n <= {4 * RARE} THEN 'dead'
                WHEN n > {4 * RARE} AND n <= {5 * RARE} THEN 'set_aside' ELSE 'processed'
                END AS status,
            CASE WHEN n > {5 * RARE} AND n <= {6 * RARE} THEN %(retired)s ELSE %(account)s
                END AS account_id
        FROM ({kinds}) AS kinds
    """
    body = (
        "'<xml><ToUserName>gh_5f2c81d0a7be</ToUserName><FromUserName>' || openid || "
        "'</FromUserName><CreateTime>' || CAST(at AS TEXT) || '</CreateTime><MsgType>' || "
        "msg_type || '</MsgType>' || CASE kind WHEN 'text' "
        "THEN '<Content>When do you open on Sunday?</Content><MsgId>' || msg_id || '</MsgId>' "
        "ELSE '<Event>' || event || '</Event><EventKey>' || event_key || '</EventKey>' END || "
        "'</xml>'"
    )
    received = time.format("at + 1")
    columns = {
        "account_id": "account_id",
        "source": "'callback'",
        "dedup_key": words["key"],
        "msg_type": "msg_type",
        "event": "event",
        "kind": "kind",
        "from_user": "openid",
        "openid": "openid",
        "event_key": "event_key",
        "scene": "scene",
        "ticket": (
            "CASE scene WHEN '' THEN '' ELSE 'gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xLzAy'"
            " || scene END"
        ),
        "msg_id": "msg_id",
        "event_time": time.format("at"),
        "received_at": received,
        "last_delivered_at": received,
        "delivery_count": "1",
        "raw": as_bytes.format(body),
        "folded_at": f"CASE status WHEN 'set_aside' THEN NULL ELSE {received} END",
        "status": "status",
        "attempts": "0",
        "error": "''",
        "processed_at": received,
        "duration_ms": "3",
        "reply": "''",
    }
    return (
        f"INSERT INTO {EventLog._meta.db_table} ({', '.join(columns)}) "
        f"SELECT {', '.join(columns.values())} FROM ({keys}) AS keys ORDER BY n"
    )


def _fill_followers() -> None:
    """Adds the followers of that log. Their scenes are not always the true first and last."""
    followed = "CASE kind WHEN 'event.subscribe' THEN event_time END"
    unfollowed = "CASE kind WHEN 'event.unsubscribe' THEN event_time END"
    seen = (
        "CASE WHEN kind IN ('text', 'event.click', 'event.view', 'event.scan') THEN event_time END"
    )
    scene = "COALESCE({0}(CASE scene WHEN '' THEN NULL ELSE scene END), '')"
    scene_at = "{0}(CASE scene WHEN '' THEN NULL ELSE event_time END)"
    columns: dict[str, str] = {
        "account_id": "account_id",
        "openid": "openid",
        "first_followed_at": f"MIN({followed})",
        "last_followed_at": f"MAX({followed})",
        "last_unfollowed_at": f"MAX({unfollowed})",
        "last_seen_at": f"MAX({seen})",
        "follow_count": f"COUNT({followed})",
        "unfollow_count": f"COUNT({unfollowed})",
        "event_count": "COUNT(*)",
        "first_scene": scene.format("MIN"),
        "first_scene_at": scene_at.format("MIN"),
        "first_scene_key": "''",
        "last_scene": scene.format("MAX"),
        "last_scene_at": scene_at.format("MAX"),
        "last_scene_key": "''",
        "unionid": "''",
        "language": "''",
        "remark": "''",
        "subscribe_scene": "''",
        "qr_scene": "''",
        "tag_ids": "''",
        "updated_at": "MAX(received_at)",
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Subscriber._meta.db_table} ({', '.join(columns)}) "
            f"SELECT {', '.join(columns.values())} FROM {EventLog._meta.db_table} "
            "WHERE folded_at IS NOT NULL GROUP BY account_id, openid ORDER BY MIN(id)"
        )


def _fill_posters_and_bindings(account: OfficialAccount, now: datetime.datetime) -> None:
    every = list(
        Subscriber.objects.filter(account=account).order_by("id").values_list("id", flat=True)
    )
    QRScene.objects.bulk_create(
        QRScene(account=account, scene=f"poster-{number}", name=f"Poster {number}", due_at=None)
        for number in [*range(_POSTERS - _POSTERS_OF_OTHERS), "retired"]
    )
    # Scenes known from events, like those of another system that makes a code for each visitor.
    SeenScene.objects.bulk_create(
        (
            SeenScene(account=account, scene=scene, first_seen_at=now)
            for scene in [
                "poster-retired",
                *(f"poster-{number}" for number in range(_POSTERS)),
                *(f"visitor-{number}" for number in range(len(every) // _FOLLOWERS_TO_VISITORS)),
            ]
        ),
        batch_size=1000,
    )
    # Enough to fill a page of each list even in a small log.
    followers = every[:: max(1, min(_BINDINGS_TO_FOLLOWERS, len(every) // _BINDINGS_AT_LEAST))]
    users = User.objects.bulk_create(
        User(username=f"user{number}", password="!") for number in range(len(followers))
    )
    bindings = Binding.objects.bulk_create(
        [
            Binding(
                account=account,
                subscriber_id=follower,
                user=user,
                bound_at=now,
                unbound_at=None if number % 5 else now,
                event_id=number,
                event_time=now,
            )
            for number, (follower, user) in enumerate(zip(followers, users, strict=True))
        ],
        batch_size=1000,
    )
    requests: list[Any] = [
        BindingRequest(
            account=account,
            user=binding.user,
            scene_digest=f"{number:064x}",
            created_at=now,
            expires_at=now,
            completed_at=now,
            binding=binding,
            due_at=None,
        )
        for number, binding in enumerate(bindings)
    ]
    requests = BindingRequest.objects.bulk_create(requests, batch_size=1000)
    BindingScan.objects.bulk_create(
        [
            BindingScan(
                account=account,
                subscriber_id=binding.subscriber_id,
                request=request,
                event_id=number,
                event_time=now,
                outcome="bound",
            )
            for number, (binding, request) in enumerate(zip(bindings, requests, strict=True))
        ],
        batch_size=1000,
    )
