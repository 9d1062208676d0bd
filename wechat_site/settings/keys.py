"""The secrets of the site, and checks that they are not weak."""

from __future__ import annotations

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import DEBUG, env

# Used only while DEBUG is on and the hosts are local. Both are public, so they protect nothing.
_LOCAL_SECRET_KEY = "local-only-key-that-protects-nothing-set-SECRET_KEY-for-a-real-site"
_LOCAL_ENCRYPTION_KEY = "bG9jYWwtb25seS1rZXktcHJvdGVjdHMtbm90aGluZyE="


def _secret(name: str, local_default: str, how_to_make: str) -> str:
    value: str = env.str(name, default="")
    if value:
        return value
    if DEBUG:
        return local_default
    raise ImproperlyConfigured(f"DEBUG is off, so {name} must be set. Make one with: {how_to_make}")


SECRET_KEY = _secret(
    "SECRET_KEY",
    _LOCAL_SECRET_KEY,
    "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'",
)
if not DEBUG and (len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 5):
    raise ImproperlyConfigured(
        "SECRET_KEY is too weak: it must have at least 50 characters, made at random."
    )

# The first key encrypts, all keys decrypt. To change keys, put the new one before the old one.
FIELD_ENCRYPTION_KEYS = [
    key.strip()
    for key in _secret(
        "FIELD_ENCRYPTION_KEYS",
        _LOCAL_ENCRYPTION_KEY,
        "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
    ).split(",")
    if key.strip()
]
for _key in FIELD_ENCRYPTION_KEYS:
    try:
        Fernet(_key)
    except ValueError:
        raise ImproperlyConfigured(
            "Each of FIELD_ENCRYPTION_KEYS must be 32 random bytes in URL-safe base64 "
            "(44 characters), separated by commas."
        ) from None
if not DEBUG and _LOCAL_ENCRYPTION_KEY in FIELD_ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "FIELD_ENCRYPTION_KEYS holds the public key of local starts. Make a key of your own."
    )
