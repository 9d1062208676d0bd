"""Path and title of each list say the sidebar's words."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.text import capfirst

from events.testing import message_xml, push
from subscribers.models import Subscriber


def path_of(page):
    """The parts of the path above a page."""
    header = re.search(r"<h1.*?</h1>", page.content.decode(), re.DOTALL)
    assert header
    shown = re.sub(r"<span[^>]*material-symbols.*?</span>", "|", header[0], flags=re.DOTALL)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown))
    return [part.strip() for part in words.split("|")]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_list_is_called_as_in_the_sidebar(operator, language):
    operator.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    with translation.override(language):
        for group in settings.UNFOLD["SIDEBAR"]["navigation"]:
            for item in group["items"]:
                name = str(item["title"])
                page = operator.get(str(item["link"]))
                title = re.search(r"<title>\s*(.*?) \| ", page.content.decode(), re.DOTALL)
                path = [name]
                if "title" in group and str(group["title"]) != name:
                    path.insert(0, str(group["title"]))
                said = title and title[1].replace("&#x27;", "'"), path_of(page)
                assert said == (name, [part.replace("'", "&#x27;") for part in path])


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize(
    "model",
    [
        "auth_group", "events_eventlog", "events_replyrule", "events_taskrun", "events_alert",
        "subscribers_followerexport", "subscribers_outgoingmessage", "subscribers_profilefetch",
        "subscribers_qrscene", "subscribers_erasure",
    ],
)  # fmt: skip
def test_a_row_is_called_as_its_list(model, language):
    """Where the rows are what the list is called by: not "media library", "search", "menus"."""
    address = reverse(f"admin:{model}_changelist")
    with translation.override(language):
        titles = [
            str(item["title"])
            for group in settings.UNFOLD["SIDEBAR"]["navigation"]
            for item in group["items"]
            if str(item["link"]) == address
        ]
        opts = apps.get_model(*model.split("_"))._meta
        assert titles == [capfirst(str(opts.verbose_name_plural))]


def test_a_followers_page_says_follower_once(operator, shop):
    push(shop, message_xml("event.subscribe", openid="oT3xk5QmZb7LwR2nVc9Ys0DfHj4E"))
    follower = Subscriber.objects.get()
    page = operator.get(reverse("admin:subscribers_subscriber_change", args=[follower.pk]))
    assert path_of(page)[:1] == ["Followers"]
    assert len(path_of(page)) == 2


def test_a_page_under_no_heading_begins_with_its_list(operator):
    html = operator.get(reverse("admin:subscribers_conversation_changelist")).content.decode()
    header = re.search(r"<h1.*?</h1>", html, re.DOTALL)
    assert header
    assert "Followers" not in header[0]


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ("events_mediafile_add", ["Receiving", "Media library", "New"]),
        ("subscribers_followersync_add", ["Followers", "Follower syncs", "Sync followers"]),
        ("events_menuversion_import", ["Receiving", "Menus", "Import a menu from JSON"]),
    ],
)
def test_a_path_ends_with_what_one_does(operator, shop, page, path):
    assert path_of(operator.get(reverse(f"admin:{page}"))) == path


def test_the_path_of_a_row_ends_with_its_name_or_what_one_does_to_it(operator, shop):
    pages = [
        path_of(operator.get(reverse(f"admin:events_officialaccount_{page}", args=[shop.pk])))
        for page in ("change", "history", "delete")
    ]
    row = ["Receiving", "Official Accounts", shop.name]
    assert pages == [row, [*row, "History"], [*row, "Delete"]]
