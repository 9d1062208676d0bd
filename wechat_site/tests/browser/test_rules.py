"""Reply rules as an operator writes them, in Debian's Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wechat_site.tests.browser.test_menu import sign_in
from wechat_site.tests.site import Site, site_of_its_own

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WORDS = {
    "zh-CN": {
        "write": "添加规则", "add": "添加回复", "publish": "发布", "test": "测试",
        "never": "已先匹配全部情况", "unpublished": "处更改未发布", "live": "已开始回复粉丝",
        "wins": "回复的规则：", "later": "也匹配，但排在后面",
    },
    "en-US": {
        "write": "Write a rule", "add": "Add an answer", "publish": "Publish", "test": "Test",
        "never": "takes all of it", "unpublished": "changes are not published",
        "live": "answers followers from now on", "wins": "The rule that answers:",
        "later": "fits too, but stands later",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory, prepared_database) -> Iterator[Site]:
    with site_of_its_own(tmp_path_factory.mktemp("rules"), prepared_database) as site:
        site.manage(
            *("shell", "-v0", "-c"),
            "from django.contrib.auth.models import User;"
            "User.objects.create_superuser('op', password='op')",
        )
        site.start_web()
        yield site


@pytest.mark.parametrize(("language", "width"), [("zh-CN", 390), ("en-US", 1400)])
def test_rules_are_written_put_in_order_tested_and_published(site, chromium, language, width):
    words = WORDS[language]
    context = chromium.new_context(viewport={"width": width, "height": 900}, locale=language)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    listing = f"http://127.0.0.1:{site.port}/admin/events/replyrule/"

    def names() -> list[str]:
        """The rules of this run in their order."""
        shown = page.locator(".rules-row h3 a").all_text_contents()
        return [name for name in shown if name.endswith(language)]

    def fits() -> None:
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{page.url} is wider than the window"

    def write(name: str, how: str, text: str, *answers: str) -> None:
        page.get_by_role("link", name=words["write"]).first.click()
        page.wait_for_selector("[data-rules-editor] [data-add]:visible")
        page.select_option("[name=how]", how)
        assert not page.locator("[name=follow]").is_visible()
        page.fill("[name=words]", text)
        for number, answer in enumerate(answers):
            if number:
                page.get_by_role("button", name=words["add"]).click()
                page.select_option(f"[name=answers{number}-kind]", "text")
            page.fill(f"[name=answers{number}-content]", answer)
        page.fill("[name=name]", f"{name} {language}")
        fits()
        page.click("button[name=_save]")
        page.wait_for_selector(".rules-list")

    sign_in(page, listing)
    page.wait_for_load_state()
    write("货", "contains_any", f"货{language}", "goods")
    write("退货", "contains_any", f"退货{language}", "one", "two")
    assert page.get_by_text(words["never"]).count() == 1
    fits()

    # The arrow is pressed with the keyboard, and keeps the focus on the page that follows.
    row = page.locator(".rules-row", has_text=f"退货 {language}")
    up = row.locator("button[value$=':-1']")
    up.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("!document.querySelector('.rules-row .notice')")
    assert names() == [f"退货 {language}", f"货 {language}"]
    rule = row.get_attribute("data-rule")
    page.wait_for_function(f"(document.activeElement.value || '').startsWith('{rule}:')")

    # By the handle the rule goes back below the other one.
    if width > 1000:
        other = page.locator(".rules-row", has_text=f"货 {language}").last
        box = other.bounding_box()
        row.locator(".rules-handle").drag_to(
            other, target_position={"x": box["width"] / 2, "y": box["height"] - 3}
        )
        page.wait_for_selector(".rules-row .notice")
        assert names() == [f"货 {language}", f"退货 {language}"]
        up.click()
        page.wait_for_function("!document.querySelector('.rules-row .notice')")

    page.get_by_role("link", name=words["test"], exact=True).click()
    page.fill("[name=say]", f"我要退货{language}。")
    page.locator(".rules-box button").click()
    page.get_by_text(words["wins"]).wait_for()
    assert page.locator(".rules-won th").text_content() == f"退货 {language}"
    assert page.get_by_text(words["later"]).count() == 1
    assert page.locator(".rules-bubble").all_text_contents()[1:] == ["one", "two"]
    fits()

    page.goto(listing)
    page.get_by_role("link", name=words["publish"]).first.click()
    page.wait_for_selector("[name=note]")
    fits()
    page.locator("form:has([name=seen]) button[type=submit]").click()
    page.get_by_text(words["live"]).wait_for()
    assert page.get_by_text(words["unpublished"]).count() == 0
    assert problems == []
    context.close()
