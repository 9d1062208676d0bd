"""Signing in: sessions, passwords, the second factor."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy

from wechat_site.settings.environment import DEBUG, env

# Whether users with staff rights must set up a second factor at their first sign-in.
REQUIRE_SECOND_FACTOR = env.bool("REQUIRE_SECOND_FACTOR", default=not DEBUG)
# Seconds after which a session ends: the first without use, the second in any case.
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=2 * 3600)
SESSION_COOKIE_AGE = env.int("SESSION_MAX_SECONDS", default=12 * 3600)
# Whether bound users may also sign in with WeChat; and whether other followers then get a new user.
SCAN_SIGN_IN = env.bool("SCAN_SIGN_IN", default=False)
SCAN_REGISTRATION = env.bool("SCAN_REGISTRATION", default=False)
if SCAN_REGISTRATION and not SCAN_SIGN_IN:
    raise ImproperlyConfigured("SCAN_REGISTRATION needs SCAN_SIGN_IN=True.")

LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

ACCOUNT_ADAPTER = "wechat_site.signin.adapters.AccountAdapter"
ACCOUNT_FORMS = {"login": "wechat_site.signin.adapters.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = reverse_lazy("account_login")
ACCOUNT_SESSION_REMEMBER = True  # for SESSION_COOKIE_AGE, and no longer
# Failures count for the address and for the user name; a success subtracts its own count.
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "login_failed": "10/m/ip,100/d/ip,5/5m/key",
}
USERSESSIONS_ADAPTER = "wechat_site.signin.adapters.SessionsAdapter"
MFA_ADAPTER = "wechat_site.signin.adapters.SecondFactorAdapter"
MFA_FORMS = {
    "add_webauthn": "wechat_site.signin.adapters.AddPasskeyForm",
    "edit_webauthn": "wechat_site.signin.adapters.RenamePasskeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# Nobody signs up here, so no e-mail address waits to be verified.
MFA_ALLOW_UNVERIFIED_EMAIL = True
# Clocks of telephones differ by some seconds.
MFA_TOTP_TOLERANCE = 1
# A local start has no TLS.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG
