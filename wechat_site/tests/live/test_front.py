"""Pages that wait for a change of their request."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User

from events.testing import make_account, run_front
from subscribers.binding.bind import start_binding
from subscribers.models import BindingRequest, SignInRequest
from subscribers.signing_in.start import start_sign_in
from wechat_site.live.front import LiveFront
from wechat_site.live.tickets import progress_url

pytestmark = pytest.mark.django_db


class Page:
    """A browser's end; `leaves` after so many seconds."""

    def __init__(self, leaves=60):
        self.leaves = leaves
        self.answer = None

    async def client_disconnect(self):
        await asyncio.sleep(self.leaves)

    def response_str(self, status, headers, body):
        self.answer = status, body, dict(headers)["etag"]

    def response_empty(self, status, headers):
        self.answer = status, "", dict(headers)["etag"]


async def pages_behind(scope, protocol):
    protocol.answer = "pages"


class Threads:
    """The thread of the test, in whose transaction it all is; `meanwhile` comes after a look."""

    def __init__(self, threads, meanwhile):
        self._threads = threads
        self._meanwhile = meanwhile
        self.release = threads.release

    def ask(self, function):
        self._threads.ask(function)
        if self._meanwhile:
            self._threads.ask(self._meanwhile)
            self._meanwhile = None


def ask(url, known="ready", *, meanwhile=None, longest=0.05, page=None, prefer="wait", etag=None):
    headers = {"if-none-match": etag or f'"{known}"', "prefer": prefer}
    scope = SimpleNamespace(path=url, method="GET", headers=headers)
    page = page or Page()
    fronts = []

    def front(threads):
        fronts.append(LiveFront(pages_behind, Threads(threads, meanwhile), longest=longest))
        return fronts[0]

    run_front(front, scope, page)
    assert not fronts[0]._waiting
    assert not fronts[0]._known
    return page.answer


@pytest.fixture
def waiting():
    user = User.objects.create_user("alice")
    return start_binding(account=make_account(), user=user, way=BindingRequest.Way.CODE)


def test_a_page_hears_of_a_change_and_of_none(waiting):
    url = progress_url(waiting)
    assert ask(url) == (304, "", '"ready"')
    assert ask(url, "waiting", longest=60) == (200, "ready", '"ready"')
    rows = BindingRequest.objects.filter(pk=waiting.pk)
    changed = ask(url, longest=60, meanwhile=lambda: rows.end(refused_reason="expired"))
    assert changed == (200, "expired", '"expired"')


def test_a_page_with_a_weak_etag_waits_too(waiting):
    """Proxies that compress make ETags weak."""
    assert ask(progress_url(waiting), etag='W/"ready"') == (304, "", '"ready"')


@pytest.mark.parametrize("etag", ['"ready", "expired"', "ready"])
def test_a_page_that_names_no_single_word_is_answered_by_the_pages(waiting, etag):
    assert ask(progress_url(waiting), etag=etag) == "pages"


def test_a_request_that_was_deleted_is_none_for_both(waiting, client):
    row, _key = start_sign_in(account=waiting.account, site="x", way=SignInRequest.Way.CODE)
    for deleted in (row, waiting):
        url = progress_url(deleted)
        assert ask(url) == (304, "", '"ready"')
        deleted.delete()
        assert client.get(url).content == b"none"
        assert ask(url, longest=60) == (200, "none", '"none"')


def test_sign_ins_have_tickets_of_their_own(waiting):
    account = waiting.account
    # The two tables count for themselves, so this request may have the number of the other.
    row, _key = start_sign_in(account=account, site="x", way=SignInRequest.Way.CODE)
    SignInRequest.objects.filter(pk=row.pk).end(refused_reason="declined")
    assert ask(progress_url(row), longest=60) == (200, "refused", '"refused"')


def test_whoever_cannot_wait_or_has_no_ticket_is_left_to_the_pages(waiting):
    url = progress_url(waiting)
    for other in (f"{url[:-2]}x/", "/me/wechat-progress/b1/", "/me/wechat/"):
        assert ask(other) == "pages"
    assert ask(url, prefer="") == "pages"


def test_a_page_that_left_is_forgotten(waiting):
    assert ask(progress_url(waiting), page=Page(leaves=0), longest=60) is None


def test_a_database_that_is_away_leaves_the_page_waiting(waiting, monkeypatch, caplog):
    def fail(names):
        raise OSError("away")

    monkeypatch.setattr("wechat_site.live.front.words_of", fail)
    assert ask(progress_url(waiting)) == (304, "", '"ready"')
    assert "could not be read" in caplog.text
