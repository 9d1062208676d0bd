"""The table of all faults that the doctor can find, each with its remedy, in words."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from events.platform.rights import RIGHTS

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["FAULTS", "Fault", "Finding", "Severity"]


class Severity(enum.StrEnum):
    """How grave a fault is. `ERROR`: pushes are lost or calls fail. `NOTE`: only good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fault:
    """A possible fault and its remedy. Both texts may contain details: `%(address)s`."""

    severity: Severity
    what: StrOrPromise
    remedy: StrOrPromise


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that the doctor found; `code` is its name in `FAULTS`."""

    code: str
    details: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        return FAULTS[self.code].severity

    @property
    def what(self) -> str:
        return str(FAULTS[self.code].what) % self._in_words

    @property
    def remedy(self) -> str:
        return str(FAULTS[self.code].remedy) % self._in_words

    @property
    def _in_words(self) -> dict[str, str | int]:
        """The details, with the names of APIs in the current language."""
        words = dict(self.details)
        for name in ("right", "rights"):
            if name in words:
                paths = str(words[name]).split()
                words[name] = ", ".join(str(RIGHTS.get(path, path)) for path in paths)
        return words


_ERROR, _WARNING, _NOTE = Severity

FAULTS: Mapping[str, Fault] = {
    # --- The account's settings ---
    "inactive": Fault(
        _ERROR,
        _("The account is switched off: every push is refused."),
        _("Switch it on on the account's page."),
    ),
    "no_token": Fault(
        _ERROR,
        _("The account has no token (令牌): every push is refused."),
        _("Enter the token of WeChat's console on the account's page."),
    ),
    "ids_exchanged": Fault(
        _ERROR,
        _("AppID and original ID (原始ID) are exchanged: %(app_id)s, %(original_id)s."),
        _("The AppID begins with wx, the original ID with gh_. Exchange them."),
    ),
    "aes_key_invalid": Fault(
        _ERROR,
        _("The EncodingAESKey that is set is none."),
        _("Copy the 43 characters from WeChat's console again."),
    ),
    "weak_mode": Fault(
        _WARNING,
        _("Plaintext mode (明文模式): WeChat's signature does not cover the body of a push."),
        _("Choose safe mode (安全模式) in WeChat's console and here."),
    ),
    "time_zone": Fault(
        _NOTE,
        _("The account's days are those of %(zone)s; WeChat counts its days in Beijing."),
        _("Set Asia/Shanghai if the figures are to be compared with WeChat's."),
    ),
    # --- The public address ---
    "no_public_url": Fault(
        _WARNING,
        _("The public address of this site is not known, so the way in was not tried."),
        _("Set PUBLIC_URL, for example https://wechat.example.com."),
    ),
    "port": Fault(
        _ERROR,
        _("WeChat pushes to port 80 of http and port 443 of https alone; this is port %(port)s."),
        _("Put a proxy before the site that listens there (docs/deployment.md)."),
    ),
    "unresolved": Fault(
        _ERROR,
        _("The name %(host)s is not known: %(reason)s"),
        _("Correct the name's DNS record, or PUBLIC_URL."),
    ),
    "unreachable": Fault(
        _ERROR,
        _("Nothing answers at %(address)s: %(reason)s"),
        _("Start the proxy or the site, and let the firewall pass this port."),
    ),
    "certificate": Fault(
        _ERROR,
        _("The certificate of %(host)s is not accepted: %(reason)s"),
        _("Install a valid certificate for this name, with its intermediate certificates."),
    ),
    "certificate_expiring": Fault(
        _WARNING,
        _("The certificate of %(host)s expires in %(days)s days."),
        _("Renew it; most likely its automatic renewal has stopped."),
    ),
    "tls": Fault(
        _ERROR,
        _("There is no TLS connection to %(host)s: %(reason)s"),
        _("Let the proxy speak TLS 1.2 or 1.3 on this port."),
    ),
    "redirect": Fault(
        _ERROR,
        _("The address answers %(status)s and leads to %(location)s; WeChat follows no redirect."),
        _("Exempt /wechat/ from the proxy's redirect, or enter the final address in the console."),
    ),
    "proxy": Fault(
        _ERROR,
        _("The proxy answers %(status)s: it does not reach the site behind it."),
        _("Compare the proxy's upstream with the address or socket of manage.py serve."),
    ),
    "body_limit": Fault(
        _ERROR,
        _("A push of %(size)s KB is answered 413: the proxy takes no body of that size."),
        _("Raise client_max_body_size for /wechat/ to 64k."),
    ),
    "query_lost": Fault(
        _ERROR,
        _("The query does not reach the site as it was sent."),
        _("Let the proxy pass the address on unchanged, query included, without a cache."),
    ),
    "too_slow": Fault(
        _ERROR,
        _("There was no whole answer in %(seconds)s seconds, for which WeChat waits."),
        _("Look for a busy database or processor, and for a proxy that holds the answer back."),
    ),
    "slow": Fault(
        _WARNING,
        _("The answer took %(seconds)s seconds, of %(limit)s for which WeChat waits."),
        _("Look for a busy database or processor before pushes are lost."),
    ),
    "altered": Fault(
        _ERROR,
        _("The answer is not the one that the site gives: something in front changes it."),
        _("Switch off what rewrites, compresses or adds to answers under /wechat/."),
    ),
    "not_this_site": Fault(
        _ERROR,
        _("At the address answers something else: status %(status)s, %(kind)s."),
        _("Let the proxy, firewall or protection page pass /wechat/ on to this site."),
    ),
    "other_site": Fault(
        _ERROR,
        _("At the address answers another site, or a process with another SECRET_KEY."),
        _("Let the address lead to this site; give all its processes the same settings."),
    ),
    "other_database": Fault(
        _ERROR,
        _("The web processes use another database than this one."),
        _("Give all processes the same DATABASE_URL."),
    ),
    "unknown_to_web": Fault(
        _ERROR,
        _("The web processes do not know this account's callback URL."),
        _("Give all processes the same DATABASE_URL, or start the web processes anew."),
    ),
    "secrets_differ": Fault(
        _ERROR,
        _("The web processes refuse this account's signature."),
        _("Give all processes the same FIELD_ENCRYPTION_KEYS and start them anew."),
    ),
    "refused": Fault(
        _ERROR,
        _("The site refuses a push that is signed with the account's own token: status 403."),
        _("Look into the site's log for the reason."),
    ),
    "not_stored": Fault(
        _ERROR,
        _("The site answers 503: it cannot store pushes now."),
        _("Look after the database: is it there, is it locked, is its disk full?"),
    ),
    "database": Fault(
        _ERROR,
        _("Nothing can be written to the database: %(reason)s"),
        _("Free disk space, or look after the database server."),
    ),
    "clock": Fault(
        _ERROR,
        _("This machine's clock is %(seconds)s seconds away from WeChat's."),
        _("Let the machine keep its clock by NTP (timedatectl set-ntp true)."),
    ),
    "clocks_differ": Fault(
        _ERROR,
        _("The clock of the web process is %(seconds)s seconds away from this machine's."),
        _("Let all machines of the site keep their clocks by NTP."),
    ),
    # --- Why WeChat's own pushes failed ---
    "wrong_token": Fault(
        _ERROR,
        _("WeChat's pushes are refused, %(number)s of late: their signature needs another token."),
        _("Enter the same token (令牌) here and in WeChat's console."),
    ),
    "wrong_aes_key": Fault(
        _ERROR,
        _("WeChat's pushes are refused, %(number)s of late: the EncodingAESKey opens none."),
        _("Enter the same EncodingAESKey here and in WeChat's console."),
    ),
    "wrong_app_id": Fault(
        _ERROR,
        _("WeChat's pushes are refused, %(number)s of late: they are for another AppID."),
        _("Correct the AppID, or give each account its own callback URL in the console."),
    ),
    "wrong_mode": Fault(
        _ERROR,
        _("WeChat's pushes are refused, %(number)s of late: they come in plain text."),
        _("Choose the same security mode (消息加解密方式) here and in WeChat's console."),
    ),
    "wrong_original_id": Fault(
        _ERROR,
        _("Pushes are quarantined: they name the original ID %(told)s, the account has %(own)s."),
        _("Take the ID that pushes name, on the account's page, if it is this account's."),
    ),
    # --- WeChat's API ---
    "no_app_secret": Fault(
        _NOTE,
        _("The account has no AppSecret: receiving and replying work, calls to WeChat do not."),
        _("Enter the AppSecret if messages, QR codes, menus or profiles are wanted."),
    ),
    "api_unreachable": Fault(
        _ERROR,
        _("WeChat's API cannot be reached: %(reason)s"),
        _("Let this machine open HTTPS connections to it, or set WECHAT_API_PROXY."),
    ),
    "ip_list": Fault(
        _ERROR,
        _("This machine's address %(address)s is not on the account's IP list (IP白名单)."),
        _("Add %(address)s to the IP list in WeChat's console."),
    ),
    "credentials": Fault(
        _ERROR,
        _("WeChat refuses AppID or AppSecret: %(reason)s"),
        _("Copy both from WeChat's console again; an administrator may have to confirm or thaw."),
    ),
    "token_refused": Fault(
        _ERROR,
        _("WeChat refuses a fresh access token: %(reason)s"),
        _("Does another program fetch tokens for this AppID? Let it use stable_token."),
    ),
    "api_refused": Fault(
        _ERROR,
        _("WeChat refuses: %(reason)s"),
        _("Look the number up in WeChat's list of codes, or ask its support with the rid."),
    ),
    "uncertified": Fault(
        _NOTE,
        _("WeChat does not let this account call: %(rights)s."),
        _("Have the account verified (认证); until then these functions stay without effect."),
    ),
    "quota_low": Fault(
        _WARNING,
        _("Of today's calls of %(right)s %(remain)s of %(limit)s are left."),
        _("Until midnight in Beijing spare them, or reset the count in WeChat's console."),
    ),
    "wechat_resolves_not": Fault(
        _ERROR,
        _("WeChat does not find the callback's host."),
        _("Compare the URL in WeChat's console; let its name resolve from networks in China."),
    ),
    "wechat_resolves_otherwise": Fault(
        _WARNING,
        _("WeChat finds the callback at %(theirs)s, this machine at %(ours)s."),
        _("If the name has moved, wait until DNS caches have run out; else correct the record."),
    ),
    "wechat_loses_packets": Fault(
        _WARNING,
        _("WeChat's packets to %(address)s are lost: %(loss)s."),
        _("Look after the network or firewall before the site."),
    ),
    # --- The site ---
    "no_worker": Fault(
        _ERROR,
        _("No worker has run for two minutes: nothing is sent, fetched or tried again."),
        _("Start manage.py worker, or manage.py serve, which keeps one running."),
    ),
    "disk": Fault(
        _ERROR,
        _("Only %(percent)s %% of the disk with %(folder)s is free."),
        _("Free space, or move the folder, before the database stops."),
    ),
}
