"""The texts that followers read about bindings: the operators' own, or the product's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from subscribers.models import BindingScan, BindingText, Subscriber

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["occasion_of", "words"]

# WeChat shows <a> in a text as a link; a user's name must not become one.
_NO_MARKUP = str.maketrans({"<": "＜", ">": "＞"})
_OF_REFUSAL = {
    "too_many": BindingText.Occasion.TOO_MANY,
    "follower_bound": BindingText.Occasion.FOLLOWER_BOUND,
    "user_bound": BindingText.Occasion.USER_BOUND,
    "declined": BindingText.Occasion.DECLINED,
}
_OF_REFUSED_SIGN_IN = {
    "too_many": BindingText.Occasion.TOO_MANY,
    "declined": BindingText.Occasion.SIGN_IN_DECLINED,
    "not_bound": BindingText.Occasion.SIGN_IN_NOT_BOUND,
}


def occasion_of(scan: BindingScan) -> BindingText.Occasion:
    """Which text answers a scan, a code that was sent, or an answer to a question."""
    if scan.sign_in is not None:
        if scan.outcome == BindingScan.Outcome.REFUSED:
            return _OF_REFUSED_SIGN_IN.get(scan.refused_reason, BindingText.Occasion.INVALID)
        if scan.outcome == BindingScan.Outcome.SIGN_IN_ASKED and scan.sign_in.user is None:
            return BindingText.Occasion.SIGN_UP_ASKED
    if scan.outcome == BindingScan.Outcome.REFUSED:
        return _OF_REFUSAL.get(scan.refused_reason, BindingText.Occasion.INVALID)
    return BindingText.Occasion(scan.outcome)


def words(
    occasion: BindingText.Occasion,
    subscriber: Subscriber,
    user: User | None,
    *,
    reason: str = "",
    is_sent: bool = False,
    site: str = "",
) -> str:
    """The text in the follower's language.

    `reason` is that of a refusal; `is_sent` says that a code was sent and not scanned; `site` is
    the address of the website that somebody signs in to.
    """
    name = user.get_username().translate(_NO_MARKUP) if user else ""
    with translation.override(subscriber.language or settings.LANGUAGE_CODE):
        language = "zh-hans" if (translation.get_language() or "").startswith("zh") else "en"
        own = BindingText.objects.filter(
            account=subscriber.account_id, occasion=occasion, language=language
        ).first()
        if own is not None:
            return own.filled(user=name, account=subscriber.account.name, site=site)
        context = {
            "occasion": occasion.value,
            "name": name,
            "reason": reason,
            "is_sent": is_sent,
            "site": site,
        }
        return render_to_string("subscribers/replies/binding.txt", context).strip()
