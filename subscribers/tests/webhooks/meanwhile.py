"""Lets another process act between two statements of the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection

__all__ = ["before_statement", "before_update"]


def before_update(table: str, act: Callable[[], object]) -> contextlib.AbstractContextManager[None]:
    """Calls `act` once, before the first UPDATE of the table; fails if there is none."""
    return before_statement(f'UPDATE "{table}"', act)


@contextlib.contextmanager
def before_statement(beginning: str, act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` once, before the first statement that begins so; fails if there is none."""
    acts = [act]

    def execute_after_act(execute: Any, sql: str, *args: Any) -> Any:
        if acts and sql.startswith(beginning):
            acts.pop()()
        return execute(sql, *args)

    with connection.execute_wrapper(execute_after_act):
        yield
    assert not acts
