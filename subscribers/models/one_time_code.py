"""What requests with a one-time code have in common: those of bindings and those of sign-ins."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.job import Job, JobQuerySet

__all__ = ["OneTimeCodeQuerySet", "Way", "as_sent"]

_Request = TypeVar("_Request", bound=Job)


class Way(models.TextChoices):
    SCAN = "scan", _("by scanning a QR code")
    CODE = "code", _("by sending a code")


class OneTimeCodeQuerySet(JobQuerySet[_Request]):
    """Requests; those whose columns are as in `open_when` still wait for their outcome."""

    open_when: ClassVar[dict[str, Any]]

    def open(self) -> Self:
        return self.filter(**self.open_when)

    def but_ready(self) -> Self:
        """All but those whose code can be scanned or sent, and was not yet."""
        return self.exclude(
            **self.open_when,
            asked_at=None,
            due_at=None,
            failure="",
            expires_at__gt=timezone.now(),
        )

    def end(self, **outcome: Any) -> int:
        """Gives open requests their outcome and wipes their secrets; returns how many.

        It ends the lease too, so that a worker that fetches a ticket just now changes nothing.
        """
        return self.open().spend(**outcome)

    def spend(self, **columns: Any) -> int:
        """Wipes the secrets of these requests and sets columns; returns how many."""
        return self.update(
            scene="",
            ticket="",
            url="",
            code="",
            due_at=None,
            lease="",
            leased_until=None,
            **columns,
        )


def as_sent(code: str) -> str:
    """The code as a page shows it, `ABCD-2345`; "" for none."""
    return f"{code[:4]}-{code[4:]}" if code else ""
