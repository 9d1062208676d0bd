"""Codes and tokens of other applications: lists a user's, and removes invalid ones."""

from __future__ import annotations

from typing import Any

from allauth.idp.oidc.models import Token

__all__ = ["forget_code_of_inactive_user", "forget_expired_tokens", "tokens_of"]


def tokens_of(user: Any) -> Any:
    """The valid codes and tokens of a user that applications hold."""
    return Token.objects.valid().filter(user=user.pk).exclude(client=None)


def forget_expired_tokens() -> int:
    """Removes expired codes and tokens; returns how many."""
    removed: int = Token.objects.expired().delete()[0]
    return removed


def forget_code_of_inactive_user(code: str) -> None:
    """Removes this code if its user may not sign in any more.

    django-allauth checks that for access and refresh tokens, but not for codes.
    """
    codes = Token.objects.by_value(code).filter(type=Token.Type.AUTHORIZATION_CODE)
    codes.filter(user__is_active=False).delete()
