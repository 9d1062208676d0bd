"""No page of the admin links its viewer to a page that refuses the viewer."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from events.models import AccountLimit
from wechat_site.signin.roles import ROLES
from wechat_site.tests.signin.crawl import pages
from wechat_site.tests.signin.people import browser_of, with_rights, with_role
from wechat_site.tests.signin.world import make_rows

pytestmark = [pytest.mark.django_db, pytest.mark.any_database, pytest.mark.slow]


@pytest.mark.parametrize(
    ("role", "limited"), [*((role, False) for role in ROLES), ("administrator", True)]
)
def test_each_link_that_a_role_sees_leads_somewhere(role, limited):
    rows = make_rows("spruce", "Spruce Books", "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E", "a red bicycle")
    user = with_role("lin", role)
    if limited:
        AccountLimit.objects.create(user=user).accounts.add(rows.account)
    seen = list(pages(browser_of(user)))
    assert [page for page in seen if page.answer.status_code >= 400] == []
    assert len(seen) > 10


def test_a_users_page_links_followers_only_for_those_who_may_see_them():
    make_rows("spruce", "Spruce Books", "oT3xk5QmZb7LwR2nVc9Ys0DfHj4E", "a red bicycle")
    user = with_rights("lin", "auth.view_user", "subscribers.view_binding")
    seen = {page.path: page.answer for page in pages(browser_of(user))}
    assert [path for path, answer in seen.items() if answer.status_code >= 400] == []
    customer = User.objects.get(username="customer-of-spruce")
    assert "Spruce Books" in seen[f"/admin/auth/user/{customer.pk}/change/"].content.decode()
