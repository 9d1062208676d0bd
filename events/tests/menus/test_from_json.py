"""Menus as people paste them, in WeChat's shapes, and what is said where one is wrong."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.utils import translation

from events.answering.publish_rules import draft_of
from events.menus.from_json import mistakes_in, read_pasted
from events.menus.menu_words import names
from events.models import MenuVersion, ReplyRule
from events.simulator.fake_api.fake_account import KeptMedia
from events.tests.media.test_media import picture
from wechat_site.tests.files import private_storage  # noqa: F401

PAGE = "/admin/events/menuversion/import/"
VIEW = {"type": "view", "name": "官网", "url": "https://www.example.com/"}
BELOW = {"name": "服务", "sub_button": [VIEW]}
ENTRIES = [{"type": "click", "name": "订单", "key": "ORDERS"}, BELOW]


@pytest.mark.any_database
@pytest.mark.parametrize(
    "shape",
    [
        {"button": ENTRIES},
        ENTRIES,
        {"menu": {"button": ENTRIES, "menuid": 1}, "conditionalmenu": []},
        {
            "is_menu_open": 1,
            "selfmenu_info": {"button": [ENTRIES[0], {**BELOW, "sub_button": {"list": [VIEW]}}]},
        },
    ],
)
def test_every_shape_of_wechat_is_read(shape):
    found = read_pasted("\ufeff" + json.dumps(shape))
    assert found.menu is not None
    assert (found.mistakes, found.notes) == ([], [])
    assert found.menu.to_json() == {"button": ENTRIES}
    assert mistakes_in(found.menu) == []


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"button": [', "This is no JSON: see line 1, character 13."),
        ("[" * 100_000, "This is"),
        ("7", "There is no list “button” in it, which holds a menu's entries."),
        ('{"button": {}}', "button: a list is wanted here."),
        ('{"button": [7]}', "button[0]: an object with name and type is wanted here."),
        (
            '{"menu": {"button": [{"name": "x", "sub_button": [{"url": []}]}]}}',
            "menu.button[0].sub_button[0].url: a text is wanted here.",
        ),
        (
            json.dumps([{"name": "x", "sub_button": [{**VIEW, "name": "一", "url": "a"}]}]),
            "button[0].sub_button[0].url “一”: An address begins with https:// or http:// and has "
            "no spaces.",
        ),
        ('{"button": [{"name": "x"}]}', "button[0].type “x”: Choose what the entry does"),
        ('{"button": []}', "button: A menu has at least one entry."),
        (
            json.dumps({"button": [{**VIEW, "name": "六个字的名字吗"}]}),
            "button[0].name “六个字的名字吗”: WeChat takes at most 16 bytes; this has 21.",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(text, said):
    with translation.override("en"):
        found = read_pasted(text)
        told = found.mistakes or mistakes_in(found.menu)
    assert told[0].startswith(said)


def test_a_pasted_menu_and_one_in_a_file_become_drafts(operator, shop):
    wrong = operator.post(PAGE, {"account": shop.pk, "text": '{"button": []}'})
    assert "button: A menu has at least one entry." in wrong.content.decode()
    assert "Paste the JSON" in operator.post(PAGE, {"account": shop.pk}).content.decode()
    console = {"selfmenu_info": {"button": [{"name": "时间", "type": "text", "value": "九点"}]}}
    file = SimpleUploadedFile("menu.json", json.dumps({"button": ENTRIES, "x": 1}).encode())
    for given in ({"upload": file}, {"text": json.dumps(console)}):
        assert operator.post(PAGE, {"account": shop.pk, "text": "", **given}).status_code == 302
    found = [names(version.content) for version in MenuVersion.objects.order_by("pk")]
    assert found == ["订单 | 服务", "时间"]
    (rule,) = draft_of(shop.pk)
    assert (rule.trigger.keys, rule.answers[0].content) == (("menu-1",), "九点")


def test_a_menu_is_not_kept_without_the_rules_for_its_keys(
    operator, shop, at_wechat, monkeypatch, private_storage  # noqa: F811
):  # fmt: skip
    at_wechat.media["M2"] = KeptMedia("image", picture(), 2**40)
    console = {"selfmenu_info": {"button": [{"name": "海报", "type": "img", "value": "M2"}]}}
    form = {"account": shop.pk, "text": json.dumps(console)}
    with monkeypatch.context() as broken:
        broken.setattr(ReplyRule, "save", fails)
        with pytest.raises(OperationalError):
            operator.post(PAGE, form)
    assert not MenuVersion.objects.exists()
    operator.post(PAGE, form)
    assert MenuVersion.objects.count() == len(draft_of(shop.pk)) == 1


def fails(*args, **kwargs):
    raise OperationalError("database is locked")
