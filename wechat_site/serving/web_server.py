"""The web server: granian, which ends with the process that started it."""

from __future__ import annotations

from granian.cli import entrypoint

from wechat_site.serving.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    entrypoint()  # type: ignore[no-untyped-call]
