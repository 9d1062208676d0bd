"""Compares searches of messages with a full scan: how long they take, and whether they agree.

    DATABASE_URL=sqlite:////tmp/search.sqlite3 python -m benchmarks.search --texts 1000000

The database must be migrated. It is filled up to that number of texts.
"""

from __future__ import annotations

import argparse
import datetime
import os
import time
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from events.search.index import Text

__all__ = ["main"]

_MONTHS_OF_DAYS = 395
_NEWEST = 50
_SHORTEST, _LONGEST = 2, 6
_LATIN = ("iphone", "wifi", "vip", "ok", "app", "hello", "Android", "logo")


def main() -> None:
    parser = argparse.ArgumentParser(description="Searches of messages beside a full scan.")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=100)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    import django
    from django.conf import settings

    django.setup()
    # With DEBUG on, Django keeps every statement.
    settings.DEBUG = False
    from django.db import connection

    from events.models import MessageText, OfficialAccount
    from events.search.find import Span, find
    from events.search.grams import folded, words_of
    from events.testing import make_account

    account = OfficialAccount.objects.filter(slug="search").first() or make_account("search")
    missing = options.texts - MessageText.objects.filter(account=account).count()
    if missing > 0:
        began = time.perf_counter()
        _fill(account.pk, options.texts, missing)
        print(f"{missing} texts in {time.perf_counter() - began:.0f} s")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    rows = MessageText.objects.filter(account=account).order_by("-event_time", "-pk")
    texts = [(pk, folded(content)) for pk, content in rows.values_list("pk", "content").iterator()]
    words = list(_words(Random(7), texts, options.words))
    span, taken, differ = Span([account.pk]), [], []
    for word in words:
        began = time.perf_counter()
        found = [row.pk for row in find(word, span, limit=_NEWEST)]
        taken.append((1000 * (time.perf_counter() - began), word))
        parts = words_of(word)
        scanned = (pk for pk, text in texts if all(part in text for part in parts))
        if found != [pk for pk, _number in zip(scanned, range(_NEWEST), strict=False)]:
            differ.append(word)
    taken.sort()
    print(f"{connection.vendor}, {len(texts)} texts, {len(words)} words of 2 to 6 letters")
    for share in (50, 95, 100):
        milliseconds, word = taken[len(taken) * share // 100 - 1]
        print(f"{share} of 100 within {milliseconds:.1f} ms ({word})")
    print(f"different from a full scan: {len(differ)} {differ[:5]}")


def _words(random: Random, texts: list[tuple[int, str]], number: int) -> Iterator[str]:
    """Pieces of random texts, cut at random places; no piece occurs twice."""
    seen: set[str] = set()
    while len(seen) < number:
        _pk, text = random.choice(texts)
        length = random.randint(_SHORTEST, _LONGEST)
        start = random.randrange(max(1, len(text) - length))
        word = text[start : start + length].strip()
        if len(word) >= _SHORTEST and word not in seen:
            seen.add(word)
            yield word


def _fill(account: int, whole: int, missing: int) -> None:
    from events.models import MessageText
    from events.search.index import Text

    random = Random(whole)
    letters = [chr(0x4E00 + number) for number in random.sample(range(0x5000), 3000)]
    # Some letters and words are far more frequent than others, as in a language.
    shares = list(accumulate(1 / (rank + 3) for rank in range(len(letters))))
    vocabulary = list(_LATIN)
    while len(vocabulary) < 20_000:
        vocabulary.append(
            "".join(random.choices(letters, cum_weights=shares, k=random.randint(1, 4)))
        )
    random.shuffle(vocabulary)
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(vocabulary))))
    last = datetime.datetime.now(datetime.UTC)
    batch = []
    for number in range(whole - missing, whole):
        words = random.choices(vocabulary, cum_weights=weights, k=random.randint(2, 12))
        at = last - datetime.timedelta(days=_MONTHS_OF_DAYS * number / whole)
        said = "".join(words)
        batch.append(
            Text(account, MessageText.Said.FOLLOWER, number + 1, at, f"o{number % 50_000}", said)
        )
        if len(batch) == 10_000:
            _store(batch)
            batch = []
    _store(batch)


def _store(texts: list[Text]) -> None:
    """Stores texts as `put` does, but quicker, for a SQLite database without other writers."""
    from django.db import connection, transaction
    from django.db.models import Max

    from events.models import MessageText
    from events.search.index import GRAMS_TABLE, put, token

    if connection.vendor == "postgresql":
        put(texts)
        return
    first = (MessageText.objects.aggregate(last=Max("pk"))["last"] or 0) + 1
    with transaction.atomic(), connection.cursor() as cursor:
        MessageText.objects.bulk_create(
            [
                MessageText(
                    pk=first + place, account_id=text.account_id, said=text.said,
                    source_id=text.source_id, event_time=text.event_time, openid=text.openid,
                    content=text.content,
                )
                for place, text in enumerate(texts)
            ],
            batch_size=100,
        )  # fmt: skip
        cursor.executemany(
            f"INSERT INTO {GRAMS_TABLE} (rowid, grams) VALUES (%s, %s)",
            [(first + place, " ".join(map(token, text.grams))) for place, text in enumerate(texts)],
        )


if __name__ == "__main__":
    main()
