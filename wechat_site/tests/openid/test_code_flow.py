"""Authlib, a client that others wrote, signs users in here; the browser is Django's."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from allauth.idp.oidc.models import Client as Application
from allauth.idp.oidc.models import Token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import KeySet

from events.models import AuditEntry, SigningKey
from events.testing import make_account
from subscribers.binding.bind import unbind
from subscribers.models import Binding, Erasure, Subscriber
from subscribers.personal_data.collect import collect
from subscribers.personal_data.erase import erase
from wechat_site.openid.claims import limit_to
from wechat_site.openid.tokens import forget_expired_tokens
from wechat_site.tests.in_process import in_process

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SITE = "https://wechat.example.com"
BACK = "https://grafana.example.com/login/generic_oauth"
SECRET = "a-secret-of-256-random-bits"
SCOPES = "openid profile email wechat"


@pytest.fixture(autouse=True)
def switched_on(settings):
    settings.OPENID_CONNECT = True
    settings.PUBLIC_URL = SITE
    settings.ALLOWED_HOSTS = ["wechat.example.com"]
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def application() -> Application:
    application = Application(id="app-grafana", name="Grafana", redirect_uris=BACK)
    application.set_scopes(SCOPES.split())
    application.set_grant_types(["authorization_code", "refresh_token"])
    application.secret = make_password(SECRET, hasher="random_sha256")
    application.save()
    return application


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ling", email="ling@example.com", first_name="Ling")


def bind(user: User, slug: str, openid: str, **profile: Any) -> Binding:
    now = timezone.now()
    account = make_account(slug, original_id=f"gh_{slug}", name=slug.title())
    follower = Subscriber.objects.create(
        account=account, openid=openid, last_followed_at=now, updated_at=now, **profile
    )
    return Binding.objects.create(
        account=account, subscriber=follower, user=user, bound_at=now, event_id=1, event_time=now
    )


class ClientLibrary:
    """Authlib's client, which calls the site without a network."""

    def __init__(self, client_id: str = "app-grafana", secret: str = SECRET, **more: Any) -> None:
        self.session = OAuth2Client(
            client_id,
            secret,
            scope=SCOPES,
            redirect_uri=BACK,
            code_challenge_method="S256",
            transport=httpx.WSGITransport(app=in_process),
            **more,
        )
        self.metadata = self.get(f"{SITE}/openid/.well-known/openid-configuration")
        self.verifier = secrets.token_urlsafe(40)
        self.nonce = secrets.token_urlsafe(8)

    def get(self, url: str) -> dict[str, Any]:
        answer = self.session.request("GET", url, withhold_token=True)
        assert answer.status_code == 200
        return dict(answer.json())

    def address(self, **more: Any) -> str:
        url, _state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"],
            code_verifier=self.verifier,
            nonce=self.nonce,
            **more,
        )
        return str(url).removeprefix(SITE)

    def tokens(self, landed: str, **more: Any) -> dict[str, Any]:
        given = {"code_verifier": self.verifier, **more}
        url = self.metadata["token_endpoint"]
        return dict(self.session.fetch_token(url, authorization_response=landed, **given))

    def id_token(self, tokens: dict[str, Any]) -> CodeIDToken:
        keys = KeySet.import_key_set(self.get(self.metadata["jwks_uri"]))
        decoded = jwt.decode(tokens["id_token"], keys)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            {"iss": {"value": f"{SITE}/openid"}, "aud": {"value": self.session.client_id}},
            {"nonce": self.nonce, "client_id": self.session.client_id},
        )
        claims.validate()
        return claims

    def userinfo(self) -> dict[str, Any]:
        answer = self.session.get(self.metadata["userinfo_endpoint"])
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@dataclass
class Browser:
    user: User

    def __post_init__(self) -> None:
        self.client = Client(HTTP_HOST="wechat.example.com")
        self.client.force_login(self.user)

    def page(self, address: str) -> Any:
        return self.client.get(address, secure=True)

    def agree(self, address: str, *, scopes: str = SCOPES, action: str = "grant") -> str:
        """Where the browser is sent after the user's answer on the page."""
        page = self.page(address)
        assert page.status_code == 200
        given = {
            "request": page.context["form"]["request"].value(),
            "scopes": scopes.split(),
            "action": action,
        }
        answer = self.client.post("/openid/authorize", given, secure=True)
        assert answer.status_code == 302
        return str(answer["Location"])


def sign_in(user: User) -> tuple[ClientLibrary, dict[str, Any]]:
    library = ClientLibrary()
    return library, library.tokens(Browser(user).agree(library.address()))


def test_a_bound_user_signs_in_and_the_application_learns_of_the_follower(application, user):
    bound = bind(user, "books", "oBooks1", unionid="u-1", remark="Ling from 3F")
    library, tokens = sign_in(user)
    expected = {
        "sub": str(user.pk),
        "preferred_username": "ling",
        "email": "ling@example.com",
        "email_verified": False,
        "wechat_account": "books",
        "wechat_openid": "oBooks1",
        "wechat_unionid": "u-1",
        "wechat_remark": "Ling from 3F",
        "wechat_accounts": [
            {
                "account": "books",
                "openid": "oBooks1",
                "unionid": "u-1",
                "remark": "Ling from 3F",
                "following": True,
                "bound_at": int(bound.bound_at.timestamp()),
            }
        ],
    }
    for claims in (library.id_token(tokens), library.userinfo()):
        assert {name: claims.get(name) for name in expected} == expected
    entry = AuditEntry.objects.get(act="sign_in_to")
    assert (entry.user_name, entry.object_name) == ("ling", "Grafana")
    # No code, token or secret is stored as it is.
    stored = json.dumps(list(Token.objects.values("hash", "data")))
    assert tokens["access_token"] not in stored
    assert tokens["refresh_token"] not in stored
    # A binding that ended is told to nobody.
    unbind(bound)
    assert not [name for name in library.userinfo() if name.startswith("wechat")]
    library.session.refresh_token(library.metadata["token_endpoint"])
    assert library.userinfo()["sub"] == str(user.pk)


def test_of_several_accounts_the_application_learns_what_it_may(application, user):
    books = bind(user, "books", "oBooks1", unionid="u-1")
    bind(user, "hats", "oHats1", unionid="u-1")
    library, _tokens = sign_in(user)
    claims = library.userinfo()
    assert [row["openid"] for row in claims["wechat_accounts"]] == ["oBooks1", "oHats1"]
    assert claims["wechat_unionid"] == "u-1"
    assert "wechat_openid" not in claims
    limit_to(application, [books.account_id])
    application.save()
    assert library.userinfo()["wechat_openid"] == "oBooks1"
    assert len(library.userinfo()["wechat_accounts"]) == 1


def test_nothing_of_wechat_without_a_binding_or_without_the_users_consent(application, user):
    library, tokens = sign_in(user)
    told = {**library.id_token(tokens), **library.userinfo()}
    assert not [name for name in told if name.startswith("wechat")]
    bind(user, "books", "oBooks1")
    library = ClientLibrary()
    tokens = library.tokens(Browser(user).agree(library.address(), scopes="openid profile"))
    told = {**library.id_token(tokens), **library.userinfo()}
    assert told["preferred_username"] == "ling"
    assert not [name for name in told if name.startswith(("wechat", "email"))]


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Sign in to Grafana?"), ("zh-hans", "登录")]
)
def test_the_page_names_the_application_and_where_the_browser_goes(
    application, user, language, words
):
    browser = Browser(user)
    browser.client.cookies["django_language"] = language
    page = browser.page(ClientLibrary().address())
    text = page.content.decode()
    assert words in text
    assert "grafana.example.com" in text
    assert "form-action 'self' https://grafana.example.com;" in page["Content-Security-Policy"]
    assert page["Cache-Control"] == "no-store"


def test_the_page_names_an_app_that_has_a_scheme_of_its_own(application, user):
    uris = ["org.example.app:/back", "org.example.app://back"]
    application.set_redirect_uris(uris)
    application.save()
    browser = Browser(user)
    browser.client.cookies["django_language"] = "en"
    for uri in uris:
        library = ClientLibrary()
        library.session.redirect_uri = uri
        text = browser.page(library.address()).content.decode()
        assert "You are ling here. org.example.app will learn:" in text


def test_a_form_with_a_code_and_no_signed_request_signs_nobody_in(application):
    browser = Client(HTTP_HOST="wechat.example.com")
    answer = browser.post("/openid/authorize", {"code": "x"}, secure=True)
    assert answer["Location"] == "/openid/authorize?code=x"
    assert not AuditEntry.objects.filter(act="sign_in_to").exists()


def test_a_user_who_cancels_is_sent_back_without_a_code(application, user):
    landed = Browser(user).agree(ClientLibrary().address(), action="cancel")
    assert parse_qs(urlsplit(landed).query)["error"] == ["access_denied"]
    assert not Token.objects.exists()


def test_a_stranger_signs_in_first_and_a_forged_form_gives_nothing(application, user):
    library = ClientLibrary()
    stranger = Client(HTTP_HOST="wechat.example.com")
    answer = stranger.get(library.address(), secure=True)
    assert answer["Location"].startswith("/account/login/?next=/openid/authorize")
    silent = stranger.get(library.address(prompt="none"), secure=True)
    assert parse_qs(urlsplit(silent["Location"]).query)["error"] == ["login_required"]
    strict = Client(enforce_csrf_checks=True, HTTP_HOST="wechat.example.com")
    strict.force_login(user)
    form = strict.get(library.address(), secure=True).context["form"]["request"].value()
    given = {"request": form, "scopes": ["openid"], "action": "grant"}
    assert strict.post("/openid/authorize", given, secure=True).status_code == 403
    assert not Token.objects.exists()


def test_an_own_application_asks_nobody(application, user):
    application.skip_consent = True
    application.save()
    library = ClientLibrary()
    landed = Browser(user).page(library.address())["Location"]
    assert library.tokens(landed)["access_token"]


def test_a_user_ends_an_applications_access_and_no_other_users(application, user):
    library, _tokens = sign_in(user)
    other, _tokens = sign_in(User.objects.create_user("bo"))
    browser = Browser(user)
    page = browser.page("/openid/applications/")
    assert "Grafana" in page.content.decode()
    browser.client.post("/openid/applications/", {"application": "app-grafana"}, secure=True)
    assert library.session.get(library.metadata["userinfo_endpoint"]).status_code == 401
    assert "Grafana" not in browser.page("/openid/applications/").content.decode()
    assert other.userinfo()["preferred_username"] == "bo"
    assert AuditEntry.objects.get(act="end_access").user_name == "ling"
    unknown = browser.client.post("/openid/applications/", {"application": "x"}, secure=True)
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example.com/login/generic_oauth",
        "https://grafana.example.com/login/generic_oauth/../evil",
        "https://grafana.example.com.evil.example/login/generic_oauth",
        "http://grafana.example.com/login/generic_oauth",
    ],
)
def test_a_wrong_redirect_uri_is_answered_here(application, user, elsewhere):
    library = ClientLibrary()
    library.session.redirect_uri = elsewhere
    page = Browser(user).page(library.address())
    assert page.status_code == 400
    text = page.content.decode()
    assert "invalid_request · redirect_uri=" in text
    assert elsewhere in text
    assert "本站没有跳转" in text
    assert "Mismatching" not in text
    assert not Token.objects.exists()


@pytest.mark.parametrize(
    ("asked", "code", "english", "chinese"),
    [
        ({"client_id": "app-gone"}, "client_id=app-gone", "does not know", "本站没有登记"),
        ({}, "client_id", "left out", "缺少"),
        ({"client_id": "app-grafana"}, "redirect_uri", "left out", "缺少"),
    ],
)
def test_a_wrong_request_is_told_in_words_and_by_its_code(
    application, user, asked, code, english, chinese
):
    browser = Browser(user)
    address = f"/openid/authorize?{urlencode({'response_type': 'code', **asked})}"
    for language, words in (("en", english), ("zh-hans", chinese)):
        page = browser.client.get(address, secure=True, headers={"accept-language": language})
        text = page.content.decode()
        assert page.status_code == 400
        assert f"<code>invalid_request · {code}</code>" in text
        assert words in text
    assert "parameter" not in text


def test_what_a_wrong_request_says_is_shown_as_text(application, user):
    asked = {"response_type": "code", "client_id": "<script>" + "x" * 1000}
    page = Browser(user).page(f"/openid/authorize?{urlencode(asked)}")
    code = page.content.decode().partition("<code>")[2].partition("</code>")[0]
    assert code.startswith("invalid_request · client_id=&lt;script&gt;xxx")
    assert len(code) < 250


def test_a_code_needs_the_secret_the_verifier_and_the_same_address(application, user):
    library = ClientLibrary()
    landed = Browser(user).agree(library.address())
    with pytest.raises(OAuthError, match="invalid_client"):
        ClientLibrary(secret="wrong").tokens(landed, code_verifier=library.verifier)
    with pytest.raises(OAuthError, match="invalid_grant"):
        library.tokens(landed, code_verifier="another" * 8)
    with pytest.raises(OAuthError):
        library.tokens(landed, redirect_uri="https://grafana.example.com/elsewhere")
    assert library.tokens(landed)["access_token"]


def test_a_code_used_again_takes_the_first_ones_tokens(application, user):
    library = ClientLibrary()
    landed = Browser(user).agree(library.address())
    library.tokens(landed)
    with pytest.raises(OAuthError, match="invalid_grant"):
        library.tokens(landed)


@pytest.mark.django_db(transaction=True)
def test_after_a_code_is_used_again_its_tokens_are_worth_nothing(application, user):
    library = ClientLibrary()
    landed = Browser(user).agree(library.address())
    first = library.tokens(landed)
    with pytest.raises(OAuthError, match="invalid_grant"):
        library.tokens(landed)
    library.session.token = first
    assert library.session.get(library.metadata["userinfo_endpoint"]).status_code == 401


def test_an_old_code_is_refused(application, user):
    library = ClientLibrary()
    landed = Browser(user).agree(library.address())
    Token.objects.update(expires_at=timezone.now())
    with pytest.raises(OAuthError, match="invalid_grant"):
        library.tokens(landed)
    assert forget_expired_tokens() == 1


def test_a_removed_application_is_known_no_more(application, user):
    library, _tokens = sign_in(user)
    landed = Browser(user).agree(library.address())
    application.delete()
    assert library.session.get(library.metadata["userinfo_endpoint"]).status_code == 401
    with pytest.raises(OAuthError, match="invalid_client"):
        library.tokens(landed)
    page = Browser(user).page(library.address())
    assert page.status_code == 400
    assert "location" not in page.headers


def test_a_user_who_may_not_sign_in_gets_nothing(application, user):
    library, tokens = sign_in(user)
    landed = Browser(user).agree(library.address())
    User.objects.update(is_active=False)
    assert library.session.get(library.metadata["userinfo_endpoint"]).status_code == 401
    url = library.metadata["token_endpoint"]
    with pytest.raises(OAuthError, match="invalid_grant"):
        library.session.refresh_token(url, tokens["refresh_token"])
    with pytest.raises(OAuthError, match="invalid_grant"):
        library.tokens(landed)


def test_a_public_application_proves_itself_by_pkce_alone(application, user):
    application.type = Application.Type.PUBLIC
    application.save()
    library = ClientLibrary(secret="", token_endpoint_auth_method="none")
    landed = Browser(user).agree(library.address())
    assert library.tokens(landed)["id_token"]
    plain = {"response_type": "code", "client_id": "app-grafana", "redirect_uri": BACK}
    without = Browser(user).client.get(
        "/openid/authorize", {**plain, "scope": "openid"}, secure=True
    )
    assert "code=" not in without.headers.get("Location", "")
    assert without.status_code in {200, 302}
    assert b'name="request"' not in without.content


def test_all_is_off_until_it_is_turned_on(client, settings):
    settings.OPENID_CONNECT = False
    pages = (".well-known/openid-configuration", ".well-known/jwks.json", "authorize")
    for page in (*pages, "applications/"):
        assert client.get(f"/openid/{page}", HTTP_HOST="wechat.example.com").status_code == 404
    for page in ("token", "userinfo", "revoke"):
        assert client.post(f"/openid/{page}", HTTP_HOST="wechat.example.com").status_code == 404


def test_the_key_is_stored_encrypted_and_a_new_one_leaves_the_former_valid(
    application, user, settings
):
    library, tokens = sign_in(user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pem FROM events_signingkey")
        [(stored,)] = cursor.fetchall()
    assert "PRIVATE KEY" not in stored
    former = SigningKey.value()
    SigningKey.objects.all().delete()
    settings.OPENID_CONNECT_KEY = SigningKey.value()
    SigningKey.objects.update(pem=former)
    library.id_token(tokens)
    library, tokens = sign_in(user)
    library.id_token(tokens)
    assert len(library.get(library.metadata["jwks_uri"])["keys"]) == 2


def test_with_the_person_go_the_tokens(application, user):
    bound = bind(user, "books", "oBooks1")
    library, _tokens = sign_in(user)
    told = collect(bound.account, "oBooks1")["applications"]
    assert [row["application"] for row in told] == ["Grafana"] * len(told)
    assert told
    erasure = Erasure.objects.create(
        account=bound.account, openid="oBooks1", openid_digest="d", pseudonym="erased-1",
        reason="requested", requested_at=timezone.now(),
    )  # fmt: skip
    assert erase(erasure).counts["tokens of applications"] == len(told)
    assert library.session.get(library.metadata["userinfo_endpoint"]).status_code == 401
