"""The rows of the site that the browser tests share; a process of that site makes them."""

from __future__ import annotations

import json

from allauth.idp.oidc.models import Client
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore

from events.callback.callback_address import callback_path
from events.models import AccountLimit, OfficialAccount
from wechat_site.signin.roles import make_roles
from wechat_site.tests.serving.wechat_timing import TOKEN

__all__ = ["ACCOUNTS", "PASSWORD", "SECRET", "app_id_of", "seed"]

# One or two for each file of tests.
ACCOUNTS = ("menu", "rules", "codes", "messages", "followers", "inbox", "shop", "hats")
# Users without rights, and users with all rights who sign in with PASSWORD.
_USERS = ("user0", "user1", "user2", "user3", "user4", "ling")
_WITH_PASSWORD = ("ops", "plain")
# Sees the work of all accounts.
_SUPERUSER = "duty"
PASSWORD = "correct horse battery"
SECRET = "5d41402abc4b2a76b9719d911017c592"


def app_id_of(slug: str) -> str:
    return f"wx{slug.encode().hex():0<16.16}"


def seed() -> None:
    """Prints the paths of the callbacks, a session of each user, and the application's address.

    The administrator of an account has its name and sees no other account.
    """
    # Other tests may have emptied these tables.
    make_roles()
    role = Group.objects.get(made_as__key="administrator")
    paths, sessions = {}, {}
    for slug in ACCOUNTS:
        account = OfficialAccount.objects.create(
            slug=slug,
            name=slug.title(),
            original_id=f"gh_{slug}",
            app_id=app_id_of(slug),
            app_secret=SECRET,
            token=TOKEN,
            security_mode="plaintext",
            ask_before_binding=slug == "hats",
        )
        paths[slug] = callback_path(account)
        administrator = User.objects.create_user(slug, is_staff=True)
        administrator.groups.add(role)
        AccountLimit.objects.create(user=administrator).accounts.add(account)
        sessions[slug] = _session_of(administrator)
    for name in _USERS:
        sessions[name] = _session_of(User.objects.create_user(name))
    sessions[_SUPERUSER] = _session_of(User.objects.create_superuser(_SUPERUSER))
    for name in _WITH_PASSWORD:
        User.objects.create_superuser(name, password=PASSWORD)
    # It lives where something answers, which is another origin than the site.
    back = f"{settings.WECHAT_API_BASE}/login"
    application = Client(id="app-grafana", name="Grafana", redirect_uris=back)
    application.set_scopes(["openid", "profile", "email", "wechat"])
    application.set_grant_types(["authorization_code"])
    application.save()
    print(json.dumps([paths, sessions, back]))


def _session_of(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    # As if a second factor had been shown.
    session["second_factor_of"] = user.pk
    session.create()
    return str(session.session_key)
