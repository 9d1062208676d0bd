"""The settings of the sites in browser tests: a local start's, but for what only takes time."""

from __future__ import annotations

from wechat_site.settings import *

# Seconds. A browser keeps static files, as it does those of a deployed site. After a local start it
# asks for each of a page's thirty files every time, which takes as long as the page.
WHITENOISE_MAX_AGE = 3600
# A password takes half a second otherwise.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "wechat_site.openid.secrets.RandomSecretHasher",
]
