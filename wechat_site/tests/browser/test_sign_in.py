"""Signing in with a second factor, a passkey and a recovery code, in Debian's Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from wechat_site.tests.browser.screen import Screen
from wechat_site.tests.browser.seed import PASSWORD
from wechat_site.tests.signin.totp import totp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORDS = {
    "zh-CN": {"enrol": "密码之外进行两步验证", "wrong": "用户名或密码不正确", "dashboard": "概览"},
    "en-US": {
        "sign_in": "Sign in with a passkey", "enrol": "need a second factor",
        "app": "Authenticator", "codes": "Recovery codes", "passkey": "Add a passkey",
        "passkeys": "Passkeys", "second": "Second factor",
    },
}  # fmt: skip


class Person:
    """Somebody at a screen, who looks at each page that he comes to."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.page = screen.page

    def at(self, path: str) -> None:
        self.page.wait_for_url(f"{self.screen.url}{path}")
        self.screen.fits("sign-in" + path.replace("/", "-"))

    def opens(self, path: str) -> None:
        self.screen.goto(path)
        self.at(path)

    def signs_in(self, name: str, password: str = PASSWORD) -> None:
        self.page.fill("input[name=username]", name)
        self.page.fill("input[name=password]", password)
        self.page.click("main button[type=submit]")

    def shows(self, code: str) -> None:
        self.page.fill("input[name=code]", code)
        self.page.click("main button[type=submit]")

    def signs_out(self) -> None:
        self.opens("/account/sessions/")
        self.page.click("nav form button")
        self.at("/account/login/")


def test_a_second_factor_a_passkey_and_a_lost_device(shared_site, chromium):
    words, in_english = WORDS["zh-CN"], WORDS["en-US"]
    # A passkey belongs to a name, not to an address.
    by_name = f"http://localhost:{shared_site.site.port}"
    with Screen.of(chromium, by_name, language="zh-CN", width=390) as screen:
        person, page = Person(screen), screen.page

        # a wrong password, then the right one, which opens the enrolment and nothing else
        screen.goto("/admin/")
        screen.fits("sign-in")
        screen.reads_in_other_language(in_english["sign_in"])
        person.signs_in("ops", "wrong")
        page.get_by_text(words["wrong"]).wait_for()
        screen.fits("sign-in-wrong")
        person.signs_in("ops")
        person.at("/account/2fa/")
        page.get_by_text(words["enrol"]).wait_for()
        screen.reads_in_other_language(in_english["enrol"])
        screen.goto("/admin/")
        person.at("/account/2fa/")

        # an authenticator app
        totp_page = "/account/2fa/totp/activate/"
        screen.reads_in_other_language(in_english["app"], path=totp_page)
        person.opens(totp_page)
        secret = page.input_value("#authenticator_secret")
        person.shows(totp(secret))
        person.at("/account/2fa/recovery-codes/")
        screen.reads_in_other_language(in_english["codes"])
        recovery = page.locator(".codes li").first.inner_text()
        person.opens("/admin/")
        page.get_by_text(words["dashboard"]).first.wait_for(state="attached")

        # a passkey
        device = screen.context.new_cdp_session(page)
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
        passkey_page = "/account/2fa/webauthn/add/"
        screen.reads_in_other_language(in_english["passkey"], path=passkey_page)
        person.opens(passkey_page)
        page.click("#mfa_webauthn_add")
        person.at("/account/2fa/")
        person.opens("/account/2fa/webauthn/")
        screen.reads_in_other_language(in_english["passkeys"])
        person.signs_out()
        page.click("#passkey_login")
        person.at("/admin/")

        # the same passkey as the second factor beside the password
        person.signs_out()
        person.signs_in("ops")
        person.at("/account/2fa/authenticate/")
        page.click("#mfa_webauthn_authenticate")
        person.at("/admin/")

        # the device is lost: the page says that there is no passkey, a recovery code opens
        person.signs_out()
        device.send("WebAuthn.removeVirtualAuthenticator", authenticator)
        person.signs_in("ops")
        person.at("/account/2fa/authenticate/")
        screen.reads_in_other_language(in_english["second"])
        person.shows(recovery)
        person.at("/admin/")


def test_without_javascript_all_but_passkeys_works(shared_site, chromium):
    by_name = f"http://localhost:{shared_site.site.port}"
    with Screen.of(chromium, by_name, java_script_enabled=False) as screen:
        person, page = Person(screen), screen.page
        screen.goto("/admin/")
        assert not page.locator("#passkey_login").is_visible()
        person.signs_in("plain")
        page.wait_for_url("**/account/2fa/")
        screen.goto("/account/2fa/totp/activate/")
        person.shows(totp(page.input_value("#authenticator_secret")))
        page.wait_for_url("**/account/2fa/recovery-codes/")
        expect(page.locator(".codes li")).to_have_count(10)
        page.click("header .languages button")
        page.get_by_text("恢复码").first.wait_for()
