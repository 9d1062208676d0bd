"""An operator compares followers with WeChat's list, in Debian's Chromium."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from events.simulator.fake_api import NumberedFollowers

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORDS = {
    "zh-CN": {
        "sync": "同步粉丝", "new": "新增", "finished": "已完成", "import": "导入的粉丝",
        "refused": "不允许该公众号查询粉丝", "certified": "需要已认证的公众号",
    },
    "en-US": {
        "sync": "Sync followers", "new": "New", "finished": "finished",
        "import": "follower imported", "refused": "does not let this account",
        "certified": "takes a certified account",
    },
}  # fmt: skip


def test_an_operator_syncs_followers(shared_site, chromium):
    words, in_chinese = WORDS["en-US"], WORDS["zh-CN"]
    at_wechat = shared_site.at_wechat("followers")
    at_wechat.followers = NumberedFollowers(300)
    # A telephone folds the page's acts away.
    with shared_site.screen(chromium, "followers", width=390) as screen:
        page = screen.page

        def open_form() -> None:
            screen.goto("/admin/events/officialaccount/")
            page.locator("#result_list a[href*='/officialaccount/']").first.click()
            page.wait_for_url("**/change/**")
            page.wait_for_load_state()
            page.get_by_text("more_horiz").click()
            page.locator("a[href*='sync_followers']").first.click()
            page.wait_for_url("**/followersync/add/**")

        def begin() -> None:
            page.locator("[name=_save]").first.click()
            page.wait_for_url(re.compile(r"/followersync/\d+/change/"))

        # the button of the account's page, with the account chosen
        open_form()
        screen.fits("followers-start")
        screen.reads_in_other_language()
        with shared_site.api.held():
            begin()
            page.locator("[data-state=waiting], [data-state=running]").wait_for()
            screen.fits("followers-waiting")
            page.evaluate("window.isFirst = true")

        # nobody reloads: the page follows the worker, and loads itself anew at the end
        page.wait_for_function("!window.isFirst && document.readyState === 'complete'")
        expect(page.locator("[data-state=finished]")).to_have_text(words["finished"])
        expect(page.get_by_role("row", name=words["new"])).to_contain_text("300")
        screen.fits("followers-finished")
        screen.reads_in_other_language(in_chinese["finished"], in_chinese["new"])

        screen.goto("/admin/subscribers/followersync/")
        assert page.locator("#result_list tbody tr").count() == 1
        screen.fits("followers-list")
        screen.goto("/admin/subscribers/subscriber/")
        assert words["sync"] in page.content()
        page.locator("#result_list a[href*='/subscriber/']").first.click()
        page.get_by_text(words["import"]).first.wait_for(state="attached")
        screen.fits("followers-follower")
        screen.reads_in_other_language(in_chinese["import"])

        # an account that may not is told so before it asks
        at_wechat.is_certified = False
        open_form()
        begin()
        page.locator("[data-state=failed]").wait_for()
        page.locator("a[href*='try_this_again']").first.wait_for(state="attached")
        expect(page.locator("#follower-sync")).to_contain_text(words["certified"])
        screen.fits("followers-refused")
        screen.reads_in_other_language(in_chinese["certified"])
        open_form()
        with page.expect_navigation():
            page.locator("[name=_save]").first.click()
        assert words["refused"] in page.content()
        screen.fits("followers-explained")
        screen.goto("/admin/")
        assert "48001" in page.content()
        screen.fits("followers-dashboard")
