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
    from events.audit.command import by_command

    with by_command():
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
