"""The page on which a user lets an application know him, in Debian's Chromium."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_user_declines_and_then_lets_an_application_know_him(shared_site, chromium):
    application = shared_site.application
    asked = {
        "response_type": "code",
        "client_id": "app-grafana",
        "redirect_uri": application,
        "scope": "openid profile email wechat",
        "state": "s1",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    with shared_site.screen(chromium, "ling", width=390, elsewhere=application) as screen:
        page = screen.page

        def answer(button: str) -> dict[str, list[str]]:
            """What the application is told. Its address is of another origin."""
            screen.goto(f"/openid/authorize?{urlencode(asked)}")
            page.get_by_role("heading", name="Sign in to Grafana?").wait_for()
            page.get_by_role("button", name=button, exact=True).click()
            page.wait_for_url(f"{application}?**")
            return parse_qs(urlsplit(page.url).query)

        screen.goto(f"/openid/authorize?{urlencode(asked)}")
        screen.is_accessible("openid")
        screen.reads_in_other_language("登录", "您的微信")
        declined = answer("Cancel")
        assert (declined["error"], declined["state"]) == (["access_denied"], ["s1"])
        allowed = answer("Sign in")
        assert allowed["state"] == ["s1"]
        assert allowed["code"]
