"""The tables of account binding: requests, scans, bindings, and the texts about them."""

from __future__ import annotations

from subscribers.models.binding.binding import Binding, with_bound_user
from subscribers.models.binding.refusal import Refusal
from subscribers.models.binding.request import BindingRequest
from subscribers.models.binding.scan import BindingScan
from subscribers.models.binding.text import BindingText

__all__ = [
    "Binding",
    "BindingRequest",
    "BindingScan",
    "BindingText",
    "Refusal",
    "with_bound_user",
]
