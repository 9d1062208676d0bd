"""The table of operators' own texts that followers read about bindings and sign-ins."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from events.models import OfficialAccount

__all__ = ["BindingText"]

# A placeholder such as {user}.
_PLACE = re.compile(r"\{(\w+)\}")


class BindingText(models.Model):
    """An operator's own text for one occasion in one language."""

    class Occasion(models.TextChoices):
        BOUND = "bound", _("bound")
        ASKED = "asked", _("the follower was asked")
        DECLINED = "declined", _("the follower declined")
        ALREADY_BOUND = "already_bound", _("was already bound to this user")
        FOLLOWER_BOUND = "follower_bound", _("this WeChat is bound to another user")
        USER_BOUND = "user_bound", _("this user is bound to another WeChat")
        INVALID = "invalid", _("the code is not valid, or no longer")
        TOO_MANY = "too_many", _("too many wrong codes before")
        UNBOUND = "unbound", _("the binding was ended")
        NOT_BOUND = "not_bound", _("there was no binding to end")
        SIGN_IN_ASKED = "sign_in_asked", _("the follower was asked about a sign-in")
        SIGN_UP_ASKED = "sign_up_asked", _("the follower was asked about a new account")
        SIGN_IN_ALLOWED = "sign_in_allowed", _("the follower allowed a sign-in")
        SIGN_IN_DECLINED = "sign_in_declined", _("the follower declined a sign-in")
        SIGN_IN_NOT_BOUND = "sign_in_not_bound", _("a sign-in with a WeChat that is not bound")

    class Language(models.TextChoices):
        CHINESE = "zh-hans", "简体中文"
        ENGLISH = "en", "English"

    account = models.ForeignKey(
        OfficialAccount,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("Official Account"),
    )
    occasion = models.CharField(_("occasion"), max_length=20, choices=Occasion.choices)
    language = models.CharField(
        _("language"), max_length=10, choices=Language.choices, default=Language.CHINESE
    )
    text = models.TextField(
        _("text"),
        max_length=600,
        help_text=_(
            "{user} is the user's name, {account} the Official Account's; in texts about a "
            "sign-in {site} is the address of the website."
        ),
    )

    class Meta:
        verbose_name = _("binding text")
        verbose_name_plural = _("binding texts")
        ordering = ["occasion", "language", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "occasion", "language"],
                name="binding_text_once",
                violation_error_message=_("There is a text for this occasion and language."),
            )
        ]

    def __str__(self) -> str:
        return self.get_occasion_display()

    def clean(self) -> None:
        unknown = sorted(set(_PLACE.findall(self.text)) - {"user", "account", "site"})
        if unknown:
            raise ValidationError({"text": _("Unknown: {%s}") % unknown[0]})
        asked = {self.Occasion.ASKED, self.Occasion.SIGN_IN_ASKED}
        if self.occasion in asked and "{user}" not in self.text:
            raise ValidationError(
                {"text": _("The follower must read whose account it is: write {user}.")}
            )

    def filled(self, *, user: str, account: str, site: str = "") -> str:
        """The text with the placeholders replaced; a name that looks like one stays as it is."""
        names = {"user": user, "account": account, "site": site}
        return _PLACE.sub(lambda found: names.get(found[1], found[0]), self.text)
