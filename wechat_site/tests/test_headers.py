"""What pages may do, and what caches may keep."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User

from events.models import ApiKey
from events.spreadsheets import harmless
from events.testing import make_account

pytestmark = pytest.mark.django_db


def directives(response):
    policy = response["Content-Security-Policy"]
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


@pytest.mark.parametrize("path", ["/account/login/", "/healthz", "/no/such/page", "/api/schema/"])
def test_own_pages_run_and_style_nothing_inline(client, path):
    assert "unsafe" not in client.get(path)["Content-Security-Policy"]


def test_the_admin_evaluates_but_takes_no_inline_script(operator):
    page = operator.get("/admin/")
    policy = directives(page)
    assert policy["script-src"] == "'self' 'unsafe-eval'"
    assert "unsafe" not in policy["style-src"]
    nonce = re.search(r"'nonce-([\w-]{20,})'", policy["style-src"])[1]
    styles = re.findall(r"<style[^>]*>", page.content.decode())
    assert [f'nonce="{nonce}"' in style for style in styles] == [True] * len(styles) != []
    assert nonce not in operator.get("/admin/")["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/admin/events/replyrule/", "/api/docs/"])
def test_what_a_page_has_inline_carries_the_nonce(operator, path):
    page = operator.get(path)
    nonce = re.search(r"'nonce-([\w-]{20,})'", page["Content-Security-Policy"])[1]
    inline = re.findall(r"<(?:style|script)(?![^>]* src=)[^>]*>", page.content.decode())
    inline = [tag for tag in inline if "application/json" not in tag]
    assert [f'nonce="{nonce}"' in tag for tag in inline] == [True] * len(inline) != []


@pytest.mark.parametrize(
    "path", ["/admin/", "/account/login/", "/healthz", "/api/v1/events/", "/no/such/page"]
)
def test_browsers_are_told_what_no_page_needs(client, path):
    permissions = client.get(path)["Permissions-Policy"]
    assert "camera=()" in permissions
    assert "geolocation=()" in permissions
    assert "publickey-credentials-get=(self)" in permissions


def test_no_cache_keeps_what_is_personal(operator, client):
    make_account()
    for path in ("/admin/subscribers/subscriber/", "/account/sessions/"):
        assert "no-store" in operator.get(path)["Cache-Control"]
    _, key = ApiKey.issue(user=User.objects.create_superuser("api"), scopes=["subscribers:read"])
    asked = {"Authorization": f"Token {key}"}
    for path, headers in [
        ("subscribers/", asked), ("subscribers/export/", asked), ("subscribers/", {}),
    ]:  # fmt: skip
        answer = client.get(f"/api/v1/{path}", headers=headers)
        assert answer["Cache-Control"] == "no-store"
    assert "Cache-Control" not in client.get("/api/schema/")


@pytest.mark.any_database
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r"])
def test_no_spreadsheet_computes_a_cell(sign):
    assert harmless(f"{sign}1+1") == f"'{sign}1+1"
    assert harmless(f"1{sign}1") == f"1{sign}1"
