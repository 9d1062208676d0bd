"""Agents answer followers in the inbox, in Debian's Chromium."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from events.simulator import Follower
from events.simulator.fake_api import ListedFollowers
from events.simulator.pushes import Push

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPENID = "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"


@contextmanager
def conversation(shared_site, chromium):
    """The page of a conversation in which the follower said something."""
    at_wechat = shared_site.at_wechat("inbox")
    at_wechat.followers = ListedFollowers([Follower(OPENID, is_following=True)])
    at_wechat.note_push(Push(OPENID, int(time.time()), "text"))
    shared_site.say(OPENID, "Hello?", at="inbox")
    with shared_site.screen(chromium, "inbox") as screen:
        screen.goto("/admin/subscribers/conversation/?list=all")
        screen.page.locator(".inbox-rows a").first.click()
        screen.page.wait_for_selector("#inbox-text")
        yield screen


def test_a_text_that_was_not_taken_is_not_lost(shared_site, chromium):
    with conversation(shared_site, chromium) as screen:
        page, address = screen.page, screen.page.url
        cookies = screen.context.cookies()
        text = page.locator("#inbox-text")
        text.fill("We open at ten.")
        screen.context.clear_cookies(name="sessionid")
        page.locator(".inbox-send").click()
        page.wait_for_selector("input[name=password]")
        screen.context.add_cookies(cookies)
        page.goto(address)
        expect(text).to_have_value("We open at ten.")

        page.locator(".inbox-send").click()
        expect(page.locator(".conversation")).to_contain_text("We open at ten.")
        expect(text).to_have_value("")
        # A later text is another one, and the page that is loaded anew keeps it.
        text.fill("And on Sundays?")
        page.reload()
        expect(text).to_have_value("And on Sundays?")


def test_a_draft_is_its_writers_alone(shared_site, chromium):
    with conversation(shared_site, chromium) as screen:
        page, address = screen.page, screen.page.url
        cookies = screen.context.cookies()
        text = page.locator("#inbox-text")

        def drafts():
            return page.evaluate("Object.keys(localStorage).filter((k) => k.startsWith('inbox-'))")

        text.fill("Between us.")
        [kept] = drafts()
        # A colleague signs in at this computer, whose writer did not sign out.
        screen.context.add_cookies([shared_site.cookie("duty")])
        page.goto(address)
        expect(text).to_have_value("")
        assert drafts() == []

        screen.context.add_cookies(cookies)
        page.goto(address)
        text.fill("Between us.")
        assert drafts() == [kept]
        # The other tests need the session that this would end.
        page.route("**/logout/", lambda route: route.fulfill(body="Signed out."))
        page.locator("#logout-form").evaluate("(form) => form.requestSubmit()")
        page.get_by_text("Signed out.").wait_for()
        assert drafts() == []


def test_what_is_added_for_readers_aloud_outlives_a_refresh(shared_site, chromium):
    with conversation(shared_site, chromium) as screen:
        page, asked = screen.page, itertools.count(1)

        def with_icon(route):
            body = route.fetch(headers={**route.request.headers, "if-none-match": ""}).text()
            icon = f'<i class="material-symbols-outlined" title="{next(asked)}">check</i>'
            start = body.index(">", body.index('id="inbox-lines"')) + 1
            route.fulfill(body=body[:start] + icon + body[start:], content_type="text/html")

        page.route("**/lines/", with_icon)
        page.clock.install()
        page.reload()
        for number in (1, 2):
            page.clock.run_for(3_000)
            icon = page.locator(f"#inbox-lines [title='{number}']")
            expect(icon).to_have_attribute("aria-hidden", "true")


def test_a_text_is_sent_once(shared_site, chromium):
    with conversation(shared_site, chromium) as screen:
        page, sent = screen.page, []
        page.route("**/write/**", lambda route: sent.append(route))
        page.fill("#inbox-text", "Only once.")
        for _ in range(2):
            page.keyboard.press("Control+Enter")
        page.wait_for_timeout(200)
        assert len(sent) == 1
        sent[0].continue_()
        expect(page.locator(".conversation")).to_contain_text("Only once.")


def test_texts_and_files_can_be_sent_while_the_window_is_open(shared_site, chromium):
    columns = {
        **dict.fromkeys(("media_id", "lease", "failure", "failure_text"), ""),
        **{"kind": "image", "title": "Hours", "file": "x.png", "content_type": "image/png"},
        **{"size": 1, "attempts": 0, "created_at": "2026-11-01 00:00:00"},
    }
    values = ", ".join(map(repr, columns.values()))
    shared_site.execute(
        f"INSERT INTO events_mediafile (account_id, {', '.join(columns)}) "
        f"SELECT id, {values} FROM events_officialaccount WHERE slug = 'inbox'"
    )
    with conversation(shared_site, chromium) as screen:
        page, window = screen.page, "open"

        def with_window(route):
            body = route.fetch(headers={**route.request.headers, "if-none-match": ""}).text()
            body = body.replace('data-window="open"', f'data-window="{window}"')
            route.fulfill(body=body, content_type="text/html")

        page.route("**/lines/", with_window)
        page.clock.install()
        page.reload()
        buttons = page.locator(".inbox-send, .inbox-file button")
        for window in ("closed", "open"):
            page.clock.run_for(3_000)
            expect(page.locator(f"#inbox-lines [data-window={window}]")).to_be_visible()
            assert [button.is_enabled() for button in buttons.all()] == 2 * [window == "open"]
