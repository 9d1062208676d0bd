"""Scenes are remembered by their first moment, with and without this process's memory."""

from __future__ import annotations

import datetime

from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from events.testing import make_account
from subscribers.models import SeenScene, seen_scene

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

batches = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3),
        st.booleans(),
    ),
    max_size=8,
)


class RolledBack(Exception):
    pass


class MemoryLaw(TestCase):
    @settings(max_examples=60, deadline=None)
    @given(batches=batches)
    def test_the_memory_changes_no_row(self, batches):
        account = make_account("remembering"), make_account("reading")
        seen_scene._known.clear()
        for seconds, is_committed in batches:
            for number, one in enumerate(account):
                seen = {
                    (one.pk, scene): START + datetime.timedelta(seconds=second)
                    for scene, second in seconds.items()
                }
                if number == 1:
                    # The plain way: nothing is remembered.
                    kept, seen_scene._known = seen_scene._known, {}
                try:
                    with self.captureOnCommitCallbacks(execute=is_committed), transaction.atomic():
                        SeenScene.objects.note(seen)
                        if not is_committed:
                            raise RolledBack
                except RolledBack:
                    pass
                finally:
                    if number == 1:
                        seen_scene._known = kept
        remembering, reading = (
            dict(SeenScene.objects.filter(account=one).values_list("scene", "first_seen_at"))
            for one in account
        )
        assert remembering == reading
        expected: dict[str, datetime.datetime] = {}
        for seconds, is_committed in batches:
            for scene, second in seconds.items() if is_committed else ():
                at = START + datetime.timedelta(seconds=second)
                expected[scene] = min(at, expected.get(scene, at))
        assert remembering == expected
