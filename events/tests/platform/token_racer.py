"""What one process of a race for a token does. Imported before Django is set up there."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from wechat_site.tests.racing import set_up, wait_for_others

if TYPE_CHECKING:
    from events.models import OfficialAccount


def put(
    account: OfficialAccount,
    *,
    lease_holder: str = "",
    lease_until: datetime.datetime | None = None,
    **columns: object,
) -> None:
    """Gives the row of an account's token these columns."""
    from events.models import SharedAccessToken

    SharedAccessToken.objects.of(account.pk)
    SharedAccessToken.objects.filter(pk=account.pk).update(
        lease_holder=lease_holder, lease_until=lease_until, **columns
    )


def prepare(database: str, columns: dict[str, object]) -> None:
    """Makes one account. `columns` are those of a SharedAccessToken that it begins with."""
    set_up(database)
    from events.testing import make_account

    account = make_account(app_secret="secret")
    put(account, app_id=account.app_id, **columns)


def ask(database: str, api_base: str, lease: float, rejected: str = "") -> tuple[str, str]:
    """Asks for the account's token; returns it, or the name of the error.

    With `rejected`, it asks for another one than that.
    """
    set_up(database)
    from events.models import OfficialAccount
    from events.platform.tokens import SharedTokens
    from events.wechat.api import AccessToken, APIError, Wire

    wire = Wire(api_base=api_base)
    tokens = SharedTokens(
        OfficialAccount.objects.get(), wire, lease=datetime.timedelta(seconds=lease)
    )
    wait_for_others()
    try:
        token = tokens.refresh(AccessToken(rejected, 0, 0)) if rejected else tokens.get()
        return token.value, ""
    except APIError as error:
        return "", type(error).__name__
    finally:
        wire.close()
