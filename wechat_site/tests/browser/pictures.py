from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["picture"]


def picture(page: Any, name: str) -> None:
    """Keeps a picture of the whole page in the folder SCREENSHOTS, if there is one to look at.

    Chromium takes seconds to draw one.
    """
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
