"""Where the state of an account's access token is kept for all processes and nodes.

In the database, or in Redis when REDIS_URL is set. Either way one refresher at a time holds a
lease, and only its holder writes.
"""

from __future__ import annotations

import datetime
import functools
import json
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime

from events.models import OfficialAccount
from events.models.access_token import SharedAccessToken
from events.models.fields import decrypted, encrypted
from events.wechat.api import APIError

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["DatabaseTokens", "RedisTokens", "TokenStore", "TokenStoreAway", "token_store"]

# Seconds: to connect, and for an answer.
_REDIS_TIMEOUT = 5
# Seconds after the last write when an account that is no more leaves Redis.
_REDIS_KEEPS = 30 * 24 * 3600


class TokenStoreAway(APIError):
    """Redis, which keeps the access tokens, does not answer; the platform was not asked."""

    label = "token_store"
    is_temporary = True


class TokenStore(Protocol):
    """The state of one account's token. Its columns are those of `SharedAccessToken`."""

    def read(self) -> SharedAccessToken:
        """The state as it is now; an empty one if there is none yet."""

    def claim(self, holder: str, *, now: datetime.datetime, until: datetime.datetime) -> bool:
        """Takes the lease if it is free or has run out; whether it was to be had."""

    def write(self, holder: str, **columns: Any) -> bool:
        """Changes columns while the lease is the holder's; False, and nothing changed, if not."""

    def release(self, holder: str) -> None:
        """Ends the lease if it is still the holder's."""


def token_store(account: OfficialAccount) -> TokenStore:
    """The store that the settings say."""
    if settings.REDIS_URL:
        return RedisTokens(account, _redis(settings.REDIS_URL))
    return DatabaseTokens(account)


class DatabaseTokens:
    """A row for each account. Leases are claimed and kept by filtered updates."""

    def __init__(self, account: OfficialAccount) -> None:
        self._account = account

    def read(self) -> SharedAccessToken:
        row = SharedAccessToken.objects.filter(pk=self._account.pk).first()
        if row is None:
            SharedAccessToken.objects.bulk_create(
                [SharedAccessToken(account=self._account)], ignore_conflicts=True
            )
            row = SharedAccessToken.objects.get(pk=self._account.pk)
        return row

    def claim(self, holder: str, *, now: datetime.datetime, until: datetime.datetime) -> bool:
        # Durable: a claim inside somebody's transaction would be seen by nobody, and on SQLite
        # everybody would wait for the platform.
        with transaction.atomic(durable=True):
            free = SharedAccessToken.objects.filter(Q(lease_until=None) | Q(lease_until__lte=now))
            return bool(
                free.filter(pk=self._account.pk).update(lease_holder=holder, lease_until=until)
            )

    def write(self, holder: str, **columns: Any) -> bool:
        return bool(self._held_by(holder).update(**columns))

    def release(self, holder: str) -> None:
        self._held_by(holder).update(lease_holder="", lease_until=None)

    def _held_by(self, holder: str) -> QuerySet[SharedAccessToken]:
        return SharedAccessToken.objects.filter(pk=self._account.pk, lease_holder=holder)


# Redis runs a script as a whole, so what is compared is still so when it is changed.
_CLAIM = """
local until_ = redis.call('HGET', KEYS[1], 'lease_until')
if until_ and until_ ~= '' and tonumber(until_) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'lease_holder', ARGV[1], 'lease_until', ARGV[3])
return 1
"""
_WRITE = """
if redis.call('HGET', KEYS[1], 'lease_holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
_RELEASE = """
if redis.call('HGET', KEYS[1], 'lease_holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease_holder', '', 'lease_until', '')
return 1
"""


class RedisTokens:
    """A hash for each account: `state`, JSON in which the token is encrypted, and the lease.

    Every method raises `TokenStoreAway` when Redis does not answer.
    """

    def __init__(self, account: OfficialAccount, redis: Redis) -> None:
        self._account = account
        self._redis = redis

    @property
    def _key(self) -> str:
        # Two sites may share a Redis, and both have an account of this number.
        return f"wechat_site:token:{self._account.app_id}:{self._account.pk}"

    def read(self) -> SharedAccessToken:
        found = self._call(self._redis.hgetall, self._key)
        state = json.loads(found.get("state") or "{}")
        if state:
            state["access_token"] = decrypted(state["access_token"], where=self._key)
            for name in ("refreshed_at", "expires_at", "failed_at", "next_attempt_at"):
                state[name] = state[name] and parse_datetime(state[name])
        until = found.get("lease_until")
        return SharedAccessToken(
            account=self._account,
            lease_holder=found.get("lease_holder", ""),
            lease_until=(
                datetime.datetime.fromtimestamp(float(until), datetime.UTC) if until else None
            ),
            **state,
        )

    def claim(self, holder: str, *, now: datetime.datetime, until: datetime.datetime) -> bool:
        # Nobody may hold a transaction open while the platform is asked, here no more than there.
        with transaction.atomic(durable=True):
            pass
        return self._run(_CLAIM, holder, now.timestamp(), until.timestamp())

    def write(self, holder: str, **columns: Any) -> bool:
        row = self.read()
        for name, value in columns.items():
            setattr(row, name, value)
        state = {name: getattr(row, name) for name in _STATE}
        state["access_token"] = encrypted(row.access_token)
        return self._run(_WRITE, holder, json.dumps(state, default=_written), _REDIS_KEEPS)

    def release(self, holder: str) -> None:
        self._run(_RELEASE, holder)

    def _run(self, script: str, *arguments: str | float) -> bool:
        return bool(self._call(self._redis.eval, script, 1, self._key, *arguments))

    def _call(self, command: Any, *arguments: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            return command(*arguments)
        except RedisError as error:
            # Its text may hold the address, but no password.
            raise TokenStoreAway(f"Redis: {type(error).__name__}: {error}") from error


def _written(moment: datetime.datetime) -> str:
    return moment.isoformat()


_STATE = [
    field.name
    for field in SharedAccessToken._meta.concrete_fields
    if field.name not in {"account", "lease_holder", "lease_until"}
]


@functools.lru_cache(maxsize=4)
def _redis(url: str) -> Redis:
    """This process's connections, which redis-py opens anew after a fork."""
    from redis import Redis

    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_REDIS_TIMEOUT,
        socket_connect_timeout=_REDIS_TIMEOUT,
    )
