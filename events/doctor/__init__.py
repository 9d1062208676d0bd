"""The doctor: examines an account's way from WeChat to this site and back."""

from __future__ import annotations

from .examine import Examination, Visit, examine, keep, last_examination
from .exchange import Line
from .findings import Fault, Finding, Severity

__all__ = [
    "Examination", "Fault", "Finding", "Line", "Severity", "Visit", "examine", "keep",
    "last_examination",
]  # fmt: skip
