"""The table of bindings: which follower is which user."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount
from subscribers.models.subscriber import Subscriber, SubscriberQuerySet

__all__ = ["Binding", "with_bound_user"]


class BindingQuerySet(models.QuerySet["Binding"]):
    def active(self) -> BindingQuerySet:
        return self.filter(unbound_at=None)


def with_bound_user(followers: SubscriberQuerySet) -> SubscriberQuerySet:
    """Adds `bound_username`, the user each follower is bound to, or None."""
    active = Binding.objects.active().filter(subscriber=models.OuterRef("pk"))
    return followers.annotate(bound_username=models.Subquery(active.values("user__username")[:1]))


class Binding(models.Model):
    """A follower's WeChat tied to a user of this site. Ended bindings stay as history."""

    account = models.ForeignKey(
        OfficialAccount, on_delete=models.PROTECT, verbose_name=_("Official Account")
    )
    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.PROTECT, related_name="bindings", verbose_name=_("follower")
    )
    # None after the follower was erased.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="wechat_bindings",
        verbose_name=_("user"),
    )
    bound_at = models.DateTimeField(_("bound"))
    unbound_at = models.DateTimeField(_("unbound"), null=True, blank=True)
    # No foreign key, because the log is partitioned and old months leave it.
    event_id = models.BigIntegerField(_("event"))
    event_time = models.DateTimeField(_("event time"))

    objects = BindingQuerySet.as_manager()

    class Meta:
        verbose_name = _("binding")
        verbose_name_plural = _("bindings")
        constraints = [
            models.UniqueConstraint(
                fields=["subscriber"],
                name="binding_one_per_subscriber",
                condition=Q(unbound_at=None),
            ),
            models.UniqueConstraint(
                fields=["account", "user"],
                name="binding_one_per_user",
                condition=Q(unbound_at=None),
            ),
        ]
        indexes = [
            # For the API's filters by these times.
            models.Index(fields=["bound_at", "id"], name="binding_bound_at"),
            models.Index(
                fields=["unbound_at", "id"],
                name="binding_unbound_at",
                condition=Q(unbound_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or '–'} ↔ {self.subscriber}"

    @property
    def is_active(self) -> bool:
        return self.unbound_at is None

    @property
    def is_dormant(self) -> bool:
        """Whether the binding sleeps because the follower has left; a new follow wakes it."""
        return self.is_active and not self.subscriber.is_following
