"""An empty list says what will be there, and offers what its reader may do for it."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import translation
from django.utils.html import escape

from events.models import AccountLimit
from wechat_site.empty_lists import EMPTY_LISTS
from wechat_site.tests.signin.people import browser_of, with_rights

pytestmark = pytest.mark.django_db

# Pages of their own, and lists that have their reader in them.
_OTHERS = {
    "events.replyrule", "events.taskrun", "subscribers.conversation",
    "auth.user", "auth.group", "events.auditentry",
}  # fmt: skip
LISTS = sorted(
    model._meta.label_lower
    for model in admin.site._registry
    if model._meta.label_lower not in _OTHERS
)


def address(label):
    return reverse(f"admin:{label.replace('.', '_')}_changelist")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("label", LISTS)
def test_an_empty_list_says_what_will_be_there(operator, label, language):
    operator.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    page = operator.get(address(label)).content.decode()
    with translation.override(language):
        said = EMPTY_LISTS[label]
        assert escape(str(said.sentence)) in page
        for step in said.steps:
            assert f'href="{reverse(f"admin:{step.page}")}"' in page
            assert escape(str(step.words)) in page


# A search of messages needs more than the right to see its table.
@pytest.mark.parametrize("label", sorted({*LISTS} - {"events.messagetext"}))
def test_it_offers_only_what_its_reader_may(client, label):
    user = User.objects.create_user("reader", is_staff=True)
    app, model = label.split(".")
    user.user_permissions.add(
        Permission.objects.get(content_type__app_label=app, codename=f"view_{model}")
    )
    client.force_login(user)
    page = client.get(address(label)).content.decode()
    assert escape(str(EMPTY_LISTS[label].sentence)) in page
    for step in EMPTY_LISTS[label].steps:
        assert f'href="{reverse(f"admin:{step.page}")}"' not in page


@pytest.mark.parametrize(
    ("label", "right", "limited"),
    [
        ("subscribers.outgoingmessage", "subscribers.view_conversation", False),
        ("events.alert", "events.add_alertchannel", True),
    ],
)
def test_no_step_leads_to_a_page_that_wants_more_than_its_right(label, right, limited):
    user = with_rights("reader", f"{label.replace('.', '.view_')}", right)
    if limited:
        AccountLimit.objects.create(user=user)
    browser = browser_of(user)
    page = browser.get(address(label)).content.decode()
    assert escape(str(EMPTY_LISTS[label].sentence)) in page
    (step,) = (step for step in EMPTY_LISTS[label].steps if step.right == right)
    assert browser.get(reverse(f"admin:{step.page}")).status_code == 403
    assert f'href="{reverse(f"admin:{step.page}")}"' not in page.partition('id="content"')[2]


def test_a_filtered_list_says_nothing_matches(operator):
    page = operator.get(address("subscribers.erasure"), {"q": "1"}).content.decode()
    assert escape(str(EMPTY_LISTS["subscribers.erasure"].sentence)) not in page
    assert "Reset filters" in page
