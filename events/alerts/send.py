"""Sends alert messages through apprise, as jobs of the worker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from events.alerts.rules import RULES, words_of
from events.jobs.run import serve
from events.models import Alert, AlertChannel, AlertMessage
from events.models.job import LeaseLost
from events.platform.failures import EXPLANATIONS
from events.wechat.api import APIError

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAILURES", "NotSent", "is_address", "send_messages", "send_test"]

_About = AlertMessage.About


class NotSent(APIError):
    """The channel did not accept the message. The error hides its address, which has passwords."""

    label = "channel"
    is_temporary = True


# The sentences for operators, by `failure`.
FAILURES: dict[str, StrOrPromise] = {
    **EXPLANATIONS,
    NotSent.label: gettext_lazy("The channel did not take the message: send it a test."),
}


def send_messages() -> int:
    """Sends the due messages; returns how many (`serve`)."""
    return serve(AlertMessage.objects.all(), _send)


def send_test(channel: AlertChannel) -> None:
    """Sends a test message at once; raises NotSent."""
    with translation.override(channel.language):
        _notify(channel, _("Test"), _("Alerts of this site arrive here."), kind="info")


def is_address(url: str) -> bool:
    """Whether apprise understands the address."""
    from apprise import Apprise

    return bool(Apprise.instantiate(url, suppress_exceptions=True))


def _send(message: AlertMessage) -> None:
    is_wanted = message.channel.is_active and not _is_stale(message)
    if is_wanted:
        with translation.override(message.channel.language):
            title, body, kind = _text(message)
            _notify(message.channel, title, body, kind=kind)
    if not AlertMessage.objects.finish(message, sent_at=timezone.now() if is_wanted else None):
        raise LeaseLost


def _is_stale(message: AlertMessage) -> bool:
    """Whether the message is useless.

    A message about the end is useless if the channel got no earlier one, any other message if the
    alert is over.
    """
    told = AlertMessage.objects.filter(
        alert=message.alert_id, channel=message.channel_id, sent_at__isnull=False
    )
    if message.about == _About.END:
        return not told.exists()
    return message.alert.ended_at is not None


def _text(message: AlertMessage) -> tuple[str, str, str]:
    alert = message.alert
    rule = RULES.get(alert.rule)
    whose = alert.account.name if alert.account else _("the site")
    title = f"{whose}: {rule.title if rule else alert.rule}"
    lines = [words_of(alert)]
    kind = "failure" if alert.level == Alert.Level.DOWN else "warning"
    if message.about == _About.END and alert.ended_at is not None:
        kind = "success"
        title = _("Over: %s") % title
        minutes = max(1, round((alert.ended_at - alert.began_at).total_seconds() / 60))
        lines = [_("It lasted %s minutes.") % minutes]
    began_at = timezone.localtime(alert.began_at)
    lines.append(_("Since %s") % f"{began_at:%Y-%m-%d %H:%M %Z}")
    if settings.PUBLIC_URL:
        lines.append(settings.PUBLIC_URL)
    return title, "\n".join(lines), kind


def _notify(channel: AlertChannel, title: str, body: str, *, kind: str) -> None:
    # Import it here: apprise loads a hundred modules, which only a message needs.
    from apprise import Apprise, NotifyType

    # apprise's own log lines would show the address.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    service = Apprise()
    if not service.add(channel.url) or not service.notify(
        body=body, title=title, notify_type=NotifyType(kind)
    ):
        raise NotSent(f"channel {channel.name!r} did not take the message")
