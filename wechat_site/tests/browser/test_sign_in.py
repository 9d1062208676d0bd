"""Signing in with a second factor, a passkey and a recovery code, in Debian's Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from wechat_site.tests.signin.totp import totp
from wechat_site.tests.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PASSWORD = "correct horse battery"
SEED = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("ops", password="{PASSWORD}")
"""
WORDS = {
    "zh-CN": {"enrol": "密码之外进行两步验证", "wrong": "用户名或密码不正确", "dashboard": "概览"},
    "en-US": {"enrol": "need a second factor", "wrong": "not correct", "dashboard": "Dashboard"},
}  # fmt: skip


class Person:
    """Somebody at a browser, who notices errors of the page and lines that are too long."""

    def __init__(self, site: Site, context: Any) -> None:
        # A passkey belongs to a name, not to an address.
        self.url = f"http://localhost:{site.port}"
        self.page = context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on(
            "console", lambda m: self.problems.append(m.text) if m.type == "error" else None
        )
        self.page.on("request", self._look_at)

    def _look_at(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:")):
            self.problems.append(f"from outside: {request.url}")

    def at(self, path: str) -> None:
        self.page.wait_for_url(f"{self.url}{path}", timeout=10_000)
        over = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{self.page.url} is wider than the window"

    def opens(self, path: str) -> None:
        self.page.goto(self.url + path)
        self.at(path)

    def signs_in(self, password: str = PASSWORD) -> None:
        self.page.fill("input[name=username]", "ops")
        self.page.fill("input[name=password]", password)
        self.page.click("main button[type=submit]")

    def shows(self, code: str) -> None:
        self.page.fill("input[name=code]", code)
        self.page.click("main button[type=submit]")

    def signs_out(self) -> None:
        self.opens("/account/sessions/")
        self.page.click("nav form button")
        self.at("/account/login/")


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("language", WORDS)
def test_a_second_factor_a_passkey_and_a_lost_device(
    site: Site, chromium: Any, language: str, width: int
):
    site.environment["REQUIRE_SECOND_FACTOR"] = "True"
    site.manage("shell", "-v0", "-c", SEED)
    site.start_web()
    words = WORDS[language]
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    person = Person(site, context)
    page = person.page

    # a wrong password, then the right one, which opens the enrolment and nothing else
    page.goto(f"{person.url}/admin/")
    person.signs_in("wrong")
    page.get_by_text(words["wrong"]).wait_for()
    person.signs_in()
    person.at("/account/2fa/")
    page.get_by_text(words["enrol"]).wait_for()
    page.goto(f"{person.url}/admin/")
    person.at("/account/2fa/")

    # an authenticator app
    person.opens("/account/2fa/totp/activate/")
    secret = page.input_value("#authenticator_secret")
    person.shows(totp(secret))
    person.at("/account/2fa/recovery-codes/")
    recovery = page.locator(".codes li").first.inner_text()
    person.opens("/admin/")
    page.get_by_text(words["dashboard"]).first.wait_for(state="attached")

    # a passkey
    device = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    authenticator = device.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    person.opens("/account/2fa/webauthn/add/")
    page.click("#mfa_webauthn_add")
    person.at("/account/2fa/")
    person.opens("/account/2fa/webauthn/")
    person.signs_out()
    page.click("#passkey_login")
    person.at("/admin/")

    # the same passkey as the second factor beside the password
    person.signs_out()
    person.signs_in()
    person.at("/account/2fa/authenticate/")
    page.click("#mfa_webauthn_authenticate")
    person.at("/admin/")

    # the device is lost: the page says that there is no passkey, a recovery code opens
    person.signs_out()
    device.send("WebAuthn.removeVirtualAuthenticator", authenticator)
    person.signs_in()
    person.at("/account/2fa/authenticate/")
    person.shows(recovery)
    person.at("/admin/")
    assert person.problems == []
    context.close()


def test_without_javascript_all_but_passkeys_works(site: Site, chromium: Any):
    site.environment["REQUIRE_SECOND_FACTOR"] = "True"
    site.manage("shell", "-v0", "-c", SEED)
    site.start_web()
    context = chromium.new_context(java_script_enabled=False, locale="en-US")
    page = context.new_page()
    url = f"http://localhost:{site.port}"
    page.goto(f"{url}/admin/")
    assert not page.locator("#passkey_login").is_visible()
    page.fill("input[name=username]", "ops")
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.goto(f"{url}/account/2fa/totp/activate/")
    page.fill("input[name=code]", totp(page.input_value("#authenticator_secret")))
    page.click("main button[type=submit]")
    assert page.url == f"{url}/account/2fa/recovery-codes/"
    assert page.locator(".codes li").count() == 10
    page.click("header .languages button")
    assert "恢复码" in page.content()
    context.close()
