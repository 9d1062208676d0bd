#!/usr/bin/env python
"""Django's command-line entry for this site."""

from __future__ import annotations

import gc
import os
import sys


def main() -> None:
    # Until the apps are ready (wechat_site/apps.py): all that is loaded stays, and looking for
    # garbage in it takes a third of the time.
    gc.disable()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")
    from django.core.management import execute_from_command_line

    # These do what pages, keys and the clock tell them; all other commands are their user's acts.
    if sys.argv[1:2] and sys.argv[1] in {"worker", "serve", "runserver", "demo"}:
        execute_from_command_line(sys.argv)
        return
    from django.db import DatabaseError

    from events.audit.command import by_command

    try:
        with by_command():
            execute_from_command_line(sys.argv)
    except DatabaseError:
        if _may_have_tables():
            raise
        sys.exit(
            "This database has no tables. `manage.py migrate` makes them; DATABASE_URL names "
            "another database, such as that of the demo: sqlite:///var/demo.sqlite3."
        )


def _may_have_tables() -> bool:
    from django.db import DatabaseError, connection

    try:
        return bool(connection.introspection.table_names())
    except DatabaseError:
        return True


if __name__ == "__main__":
    main()
