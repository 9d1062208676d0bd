"""Attributes the acts of a manage.py command to the system user who runs it.

manage.py imports this module before Django is set up, so it imports no model.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["by_command", "user_of_command"]

_user: ContextVar[str | None] = ContextVar("audit_command", default=None)


@contextmanager
def by_command() -> Iterator[None]:
    """Attributes entries that this thread records in the block to the user of the command."""
    token = _user.set(_user_of_system())
    try:
        yield
    finally:
        _user.reset(token)


def user_of_command() -> str | None:
    """Returns the system user who runs the command; None outside commands."""
    return _user.get()


def _user_of_system() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""
