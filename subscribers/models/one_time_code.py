"""What requests with a one-time code share: requests to bind and requests to sign in."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models.job import Job, JobQuerySet

__all__ = ["OneTimeCodeQuerySet", "Way", "as_sent"]

_Request = TypeVar("_Request", bound=Job)


class Way(models.TextChoices):
    """How a follower gives the code back."""

    SCAN = "scan", _("by scanning a QR code")
    CODE = "code", _("by sending a code")


class OneTimeCodeQuerySet(JobQuerySet[_Request]):
    """Requests with a one-time code. A request is open while its columns are as in `open_when`."""

    open_when: ClassVar[dict[str, Any]]

    def open(self) -> Self:
        return self.filter(**self.open_when)

    def but_ready(self) -> Self:
        """Leaves out requests whose code can be used now and was not used yet."""
        return self.exclude(
            **self.open_when,
            asked_at=None,
            due_at=None,
            failure="",
            expires_at__gt=timezone.now(),
        )

    def end(self, **outcome: Any) -> int:
        """Gives open requests their outcome and wipes their secrets; returns how many.

        It ends the lease too: a worker that fetches a ticket at this moment then changes nothing.
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
