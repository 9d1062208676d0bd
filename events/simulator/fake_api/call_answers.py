"""WeChat's errors, in its own words (全局返回码)."""

from __future__ import annotations

from typing import Final

__all__ = ["MESSAGES", "Refusal"]

MESSAGES: Final = {
    -1: "system error",
    0: "ok",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40004: "invalid media type",
    40007: "invalid media_id",
    40013: "invalid appid",
    40014: "invalid access_token",
    40015: "invalid menu type",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40023: "invalid sub button size",
    40024: "invalid sub button type",
    40025: "invalid sub button name size",
    40026: "invalid sub button key size",
    40027: "invalid sub button url size",
    40032: "invalid openid list size",
    40035: "invalid parameter",
    40054: "invalid sub button url domain",
    40055: "invalid button url domain",
    40125: "invalid appsecret",
    40164: "invalid ip {ip} ipv6 ::ffff:{ip}, not in whitelist",
    40202: "invalid action",
    40203: "invalid check_operator",
    40243: "appsecret is frozen",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41005: "media data missing",
    41030: "invalid page",
    42001: "access_token expired",
    43001: "require GET method",
    43002: "require POST method",
    43004: "require subscribe",
    44002: "empty post data",
    45001: "media size out of limit",
    45002: "content size out of limit",
    45008: "article size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    45056: "too many tag now, can not add new",
    45058: "can't modify sys tag",
    45059: "tag count beyond limit",
    45072: "invalid typing command",
    45080: "need to send message to the user first",
    45157: "invalid tag name, tag name already exist",
    45158: "invalid tag name length",
    45159: "invalid tag",
    46003: "menu no exist",
    47001: "data format error",
    48001: "api unauthorized",
    48006: "forbid to clear quota because of reaching the limit",
    50007: "account is frozen",
    61500: "date format error",
    61501: "date range error",
    76001: "rid not found",
    76002: "rid error",
    76003: "rid of another account",
    76004: "rid expired",
    76021: "cgi_path not found",
}


class Refusal(Exception):
    """The call ends with this errcode; `details` fill its text."""

    def __init__(self, errcode: int, **details: str) -> None:
        super().__init__(errcode)
        self.errcode = errcode
        self.errmsg = MESSAGES.get(errcode, "error").format_map({"ip": "", **details})
