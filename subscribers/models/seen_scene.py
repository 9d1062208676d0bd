"""The table of scenes that follows and scans carried.

Each process remembers the scenes it has read, so that most batches of pushes need no query here.
That saves 0.5 to 20 % of the CPU time to store and fold a batch on SQLite (1 to 16 pushes, of which
5 to 20 % are scans). With an empty memory the same code reads the rows; a property test compares
the two.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping

from django.db import models, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from subscribers.models.qr_code import QRScene

__all__ = ["SeenScene", "SeenSceneQuerySet", "is_noted"]

# When scenes were first seen, as this process has read. It stays true: rows are never deleted.
_known: dict[tuple[int, str], datetime.datetime] = {}
_MOST_KNOWN = 20_000


def _keep_in_mind(there: Mapping[tuple[int, str], datetime.datetime]) -> None:
    if len(_known) + len(there) > _MOST_KNOWN:
        _known.clear()
    _known.update(there)


def is_noted(account: int, scene: str, at: datetime.datetime) -> bool:
    """Whether this process knows that the scene was seen by that moment."""
    known = _known.get((account, scene))
    return known is not None and known <= at


class SeenSceneQuerySet(models.QuerySet["SeenScene"]):
    def unknown(self) -> SeenSceneQuerySet:
        """Scenes without a QR code here."""
        known = QRScene.objects.filter(account=OuterRef("account"), scene=OuterRef("scene"))
        return self.filter(~Exists(known))

    def note(self, seen: Mapping[tuple[int, str], datetime.datetime]) -> None:
        """Stores the moment for each scene, unless an earlier one is stored.

        The keys are account id and scene. Rows are read first: most exist, and a write takes locks.
        """
        seen = {key: at for key, at in seen.items() if not is_noted(*key, at)}
        if not seen:
            return
        there = {
            (account, scene): at
            for account, scene, at in self.filter(
                account__in={account for account, _ in seen},
                scene__in={scene for _, scene in seen},
            ).values_list("account_id", "scene", "first_seen_at")
        }
        # Only after the commit: this transaction may have written the row, and may roll back.
        transaction.on_commit(functools.partial(_keep_in_mind, there))
        # Writing in the order of the keys prevents deadlocks.
        for key in sorted(key for key in seen if key in there and seen[key] < there[key]):
            account, scene = key
            later = self.filter(account=account, scene=scene, first_seen_at__gt=seen[key])
            later.update(first_seen_at=seen[key])
        missing = sorted(set(seen).difference(there))
        if missing:
            self.bulk_create(
                [
                    self.model(account_id=key[0], scene=key[1], first_seen_at=seen[key])
                    for key in missing
                ],
                ignore_conflicts=True,
            )


class SeenScene(models.Model):
    """A scene that came with a follow or scan, of any code but a binding code."""

    account = models.ForeignKey(
        "events.OfficialAccount",
        on_delete=models.CASCADE,
        db_index=False,  # the unique constraint begins with it
        related_name="seen_scenes",
        verbose_name=_("Official Account"),
    )
    scene = models.CharField(_("scene"), max_length=64)
    first_seen_at = models.DateTimeField(_("first seen"))

    objects = SeenSceneQuerySet.as_manager()

    class Meta:
        verbose_name = _("QR code made elsewhere")
        verbose_name_plural = _("QR codes made elsewhere")
        constraints = [
            models.UniqueConstraint(fields=["account", "scene"], name="seen_scene_once"),
        ]

    def __str__(self) -> str:
        return self.scene
