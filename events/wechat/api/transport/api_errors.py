"""The errors of calls to WeChat's API: one class for each thing that a caller can do about them.

If WeChat answers with an `errcode`, the call raises `Refused` or one of its subclasses, one for
each class of codes (全局返回码). No error has an access token or an AppSecret in its text, repr or
attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "APIError",
    "AddressNotAllowed",
    "BadAnswer",
    "CredentialsRejected",
    "DailyQuotaReached",
    "NotPermitted",
    "RateLimitReached",
    "RecipientRejected",
    "Refused",
    "RequestRejected",
    "SystemBusy",
    "TokenRejected",
    "Unreachable",
    "refusal",
]


class APIError(Exception):
    """Base of every error of a call. `label` names the class in stored rows and metrics.

    `is_temporary` says whether the same call may succeed later although nobody changes anything.
    """

    label: ClassVar[str] = "platform"
    is_temporary: ClassVar[bool] = False


class Unreachable(APIError):
    """No complete answer came in time.

    `may_have_arrived` is false if the request certainly did not reach WeChat. If it is true, WeChat
    may have sent the message or made the QR code.
    """

    label = "unreachable"
    is_temporary = True

    def __init__(self, path: str, reason: str, *, may_have_arrived: bool) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.may_have_arrived = may_have_arrived


class BadAnswer(APIError):
    """An answer that is not in WeChat's form: its status is not 200, or it is not JSON."""

    label = "bad_answer"
    is_temporary = True

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


class Refused(APIError):
    """WeChat answered with an error; this class itself stands for codes that have no subclass.

    `errcode` is WeChat's number, `errmsg` its text without the `rid`. WeChat's support asks for
    `rid`; it is "" if WeChat sent none. `path` is the API that was called.
    """

    label = "refused"
    codes: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, path: str, errcode: int, errmsg: str) -> None:
        found = _RID.search(errmsg)
        self.path = path
        self.errcode = errcode
        self.rid = found.group(1) if found else ""
        self.errmsg = _RID.sub("", errmsg).strip()
        rid = f" (rid {self.rid})" if self.rid else ""
        super().__init__(f"{path}: {errcode} {self.errmsg}{rid}")


class SystemBusy(Refused):
    """WeChat is busy (系统繁忙): try again after a pause."""

    label = "busy"
    is_temporary = True
    codes = frozenset({-1})


class TokenRejected(Refused):
    """The access token is expired, invalid, or not the latest, and a fresh one did not help."""

    label = "token"
    codes = frozenset({40001, 40014, 41001, 42001, 42007})


class DailyQuotaReached(Refused):
    """This API's calls of the day are used up: no call succeeds before 00:00 in Beijing."""

    label = "daily_quota"
    is_temporary = True
    codes = frozenset({45009})


class RateLimitReached(Refused):
    """Too many calls in one minute: wait for a minute."""

    label = "rate_limit"
    is_temporary = True
    codes = frozenset({45011})


class AddressNotAllowed(Refused):
    """Our IP address is not on the account's list (IP白名单): an operator has to add it.

    `address` is our address as WeChat sees it, "" if WeChat's text does not name it.
    """

    label = "address"
    codes = frozenset({40164, 61004})

    def __init__(self, path: str, errcode: int, errmsg: str) -> None:
        super().__init__(path, errcode, errmsg)
        found = re.search(r"(?:invalid ip|requestIP:) ?(?:::ffff:)?([0-9a-fA-F.:]+)", errmsg)
        self.address = found.group(1) if found else ""


class CredentialsRejected(Refused):
    """AppID or AppSecret is wrong or frozen, or an administrator has to confirm its use."""

    label = "credentials"
    codes = frozenset(
        {40002, 40013, 40125, 40243, 41002, 41004, 50004, 50007, 89501, 89503, 89506, 89507}
    )


class NotPermitted(Refused):
    """The account has no right to this API (接口未授权): show it, and do not repeat the call."""

    label = "permission"
    codes = frozenset({40200, 48001, 48002, 48004, 48006, 50002, 76022})


class RecipientRejected(Refused):
    """WeChat refuses this OpenID: it is not ours, does not follow, or its window is closed."""

    label = "recipient"
    codes = frozenset({40003, 43004, 43101, 45015, 45047, 45080, 45081, 49003})


class RequestRejected(Refused):
    """The request is wrong: this site has a fault, or an operator entered a wrong value."""

    label = "request"
    codes = frozenset(
        {
            *(
                40004,
                40005,
                40006,
                40007,
                40009,
                41005,
                45001,
                40032,
                40033,
                40035,
                40037,
                40054,
                40055,
                40165,
                40201,
                40202,
                40203,
            ),
            *range(40015, 40029),  # menus
            *(41030, 43001, 43002, 44002, 45002, 45008, 45072, 46003, 47001, 47003),
            *(45056, 45057, 45058, 45059, 45157, 45158, 45159),  # tags
            *(61500, 61501, 76021),
            *range(65301, 65318),  # conditional menus
        }
    )


_RID = re.compile(r"[\s,]*\brid:\s*([0-9a-fA-F-]+)")
_CLASSES: tuple[type[Refused], ...] = (
    SystemBusy,
    TokenRejected,
    DailyQuotaReached,
    RateLimitReached,
    AddressNotAllowed,
    CredentialsRejected,
    NotPermitted,
    RecipientRejected,
    RequestRejected,
)
_CLASS_OF = {code: cls for cls in _CLASSES for code in cls.codes}


def refusal(path: str, errcode: int, errmsg: str, *, secrets: Iterable[str] = ()) -> Refused:
    """Return an error of the class for `errcode`.

    Its text contains none of `secrets`, even if WeChat repeated one.
    """
    for secret in secrets:
        if secret:
            errmsg = errmsg.replace(secret, "••••")
    return _CLASS_OF.get(errcode, Refused)(path, errcode, errmsg)
