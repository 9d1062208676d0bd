"""A browser's page as somebody looks at it, who notices what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wechat_site.tests.browser.accessible import assert_accessible
from wechat_site.tests.browser.pictures import picture

__all__ = ["Screen"]

_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# A telephone, and a desk.
_WIDTHS = (390, 1400)
_OTHER = {"zh-CN": "en-US", "en-US": "zh-CN"}


class Screen:
    """A page in a context of its own, with the errors that it told of and what it asked elsewhere.

    `width` is the window's, in pixels; `elsewhere` is an address that it may go to besides the
    site's `url`.
    """

    def __init__(
        self, chromium: Any, url: str, language: str, width: int, elsewhere: str, **options: Any
    ) -> None:
        self.url = url
        self.language = language
        self.width = width
        self.problems: list[str] = []
        self._chromium = chromium
        self._known = (url, "data:", "blob:", *([elsewhere] if elsewhere else []))
        self._in_other_language: Any = None
        self.page = self._open(language, **options)
        self.context = self.page.context

    @classmethod
    @contextmanager
    def of(
        cls,
        chromium: Any,
        url: str,
        *,
        language: str = "en-US",
        width: int = 1400,
        session: str = "",
        elsewhere: str = "",
        **options: Any,
    ) -> Iterator[Screen]:
        """A new screen; at the end it must have had no problems."""
        screen = cls(chromium, url, language, width, elsewhere, **options)
        if session:
            screen.context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        try:
            yield screen
            assert screen.problems == []
        finally:
            screen.close()

    def goto(self, path: str) -> None:
        self.page.goto(self.url + path)

    def fits(self, name: str = "") -> None:
        """The page is too wide for neither a telephone nor a desk."""
        self._fits(self.page, f"{name}-{self.language}")

    def reads_in_other_language(self, *words: str, path: str = "") -> None:
        """This address, or the page at `path`, has these words in the other language, and fits."""
        if self._in_other_language is None:
            self._in_other_language = self._open(_OTHER[self.language])
        other = self._in_other_language
        other.context.clear_cookies()
        other.context.add_cookies(self.context.cookies())
        # With the fragment it might be another place on the page that is there.
        other.goto(self.url + path if path else self.page.url.partition("#")[0])
        content = other.content()
        for word in words:
            assert word in content, f"{word} at {other.url}"
        self._fits(other, _OTHER[self.language])

    def is_accessible(self, name: str) -> None:
        """Nothing on the page hinders people, and it fits."""
        assert_accessible(self.page)
        self.fits(name)

    def close(self) -> None:
        if self._in_other_language is not None:
            self._in_other_language.context.close()
        self.context.close()

    def _open(self, language: str, **options: Any) -> Any:
        size = {"width": self.width, "height": 900}
        context = self._chromium.new_context(viewport=size, locale=language, **options)
        page = context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note_console)
        page.on("request", self._note_request)
        return page

    def _fits(self, page: Any, name: str) -> None:
        page.wait_for_load_state()
        # The width that it has comes last, so that it has that again.
        for width in sorted(_WIDTHS, key=lambda width: width == self.width):
            page.set_viewport_size({"width": width, "height": 900})
            picture(page, f"{name}-{width}")
            assert page.evaluate(_OVERFLOW) <= 0, f"{page.url} is wider than {width}"

    def _note_console(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(self._known):
            self.problems.append(f"from outside: {request.url}")
