"""Signing users in to other applications by OpenID Connect."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import DEBUG, env
from wechat_site.settings.hosts import PUBLIC_URL

OPENID_CONNECT = env.bool("OPENID_CONNECT", default=False)
# A private RSA key as PEM, in several lines, or in one line with \n between them. Empty: the site
# makes a key and keeps it encrypted. The former key stays published, so that its tokens stay valid.
OPENID_CONNECT_KEY = env.str("OPENID_CONNECT_KEY", default="").replace("\\n", "\n").strip()
if OPENID_CONNECT and not (PUBLIC_URL or DEBUG):
    raise ImproperlyConfigured(
        "OPENID_CONNECT is on, so PUBLIC_URL must be set: applications know this site by it."
    )


def _may_sign(pem: str) -> bool:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError):
        return False
    return isinstance(key, RSAPrivateKey) and key.key_size >= 2048


if OPENID_CONNECT_KEY and not _may_sign(OPENID_CONNECT_KEY):
    raise ImproperlyConfigured(
        "OPENID_CONNECT_KEY must be a private RSA key of at least 2048 bits. "
        "Make one with: openssl genrsa 2048"
    )
IDP_OIDC_ADAPTER = "wechat_site.openid.adapter.OpenIDAdapter"
# Seconds.
IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN = 30 * 24 * 3600
# The first is for passwords that people choose, the last for random secrets that this site makes.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "wechat_site.openid.secrets.RandomSecretHasher",
]
