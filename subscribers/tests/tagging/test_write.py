from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from events.models import ApiKey, AuditEntry
from events.simulator.fake_api import Fault
from events.simulator.follower_acts import Follower
from events.testing import make_account, message_xml, push
from subscribers.models import FollowerEdit, FollowerTag, Subscriber, TagRead
from subscribers.sync.profiles import fetch_profiles
from subscribers.tagging.edit_jobs import change_remark, change_tag, write_edits
from subscribers.tagging.tag_names import read_names, read_regularly

pytestmark = pytest.mark.django_db

LISTING = reverse("admin:subscribers_subscriber_changelist")


@pytest.fixture
def people(shop, at_wechat):
    """Three followers whom WeChat knows too."""
    for openid in ("oA", "oB", "oC"):
        push(shop, message_xml("event.subscribe", openid=openid))
        at_wechat.followers.add(Follower(openid, is_following=True, followed_at=1767225661))
    return list(Subscriber.objects.order_by("openid"))


def tags():
    return dict(Subscriber.objects.values_list("openid", "tag_ids"))


def test_a_new_tag_is_made_at_wechat_put_on_taken_off_and_read_back(shop, at_wechat, people):
    change_tag(shop, "tag", "会员", [person.pk for person in people[:2]])
    assert write_edits() == 1
    number = next(number for number, name in at_wechat.tags.items() if name == "会员")
    assert at_wechat.tagged[number] == {"oA", "oB"}
    assert tags() == {"oA": str(number), "oB": str(number), "oC": ""}
    change_tag(shop, "untag", "会员", [people[0].pk])
    change_tag(shop, "untag", "no such tag", [people[0].pk])
    assert write_edits() == 2
    assert at_wechat.tagged[number] == {"oB"}
    # Somebody else changes it in WeChat's console: WeChat has the last word.
    at_wechat.tagged[number] = {"oC"}
    Subscriber.objects.update(refresh_requested_at="2026-11-28T00:00:00Z")
    fetch_profiles()
    assert tags() == {"oA": "", "oB": "", "oC": str(number)}


def test_a_remark_is_written_and_forgotten_here(shop, at_wechat, people):
    change_remark(people[0], "first")
    change_remark(people[0], "李女士")
    assert write_edits() == 1
    assert at_wechat.remarks == {"oA": "李女士"}
    assert Subscriber.objects.get(openid="oA").remark == "李女士"
    assert FollowerEdit.objects.get().remark == ""
    fetch_profiles()
    assert Subscriber.objects.get(openid="oA").remark == "李女士"


def test_one_whom_wechat_does_not_know_keeps_nobody_else_from_the_tag(
    shop, at_wechat, people, caplog
):
    push(shop, message_xml("event.subscribe", openid="oStranger"))
    everyone = list(Subscriber.objects.values_list("pk", flat=True))
    change_tag(shop, "tag", "VIP", everyone)
    write_edits()
    assert {openid for openid, tag in tags().items() if tag} == {"oA", "oB", "oC"}
    stranger = Subscriber.objects.get(openid="oStranger")
    for act, call in {"tag": "batchtagging", "untag": "batchuntagging"}.items():
        change_tag(shop, act, "VIP", [stranger.pk])
        write_edits()
        assert FollowerEdit.objects.latest("pk").failure == "recipient"
        assert f"/{call}: 49003 nobody" in caplog.text


def test_what_may_pass_is_tried_again(shop, fake, people):
    fake.make_trouble("/cgi-bin/tags/members/batchtagging", Fault(errcode=-1))
    change_tag(shop, "tag", "VIP", [people[0].pk])
    write_edits()
    edit = FollowerEdit.objects.get()
    assert (edit.failure, edit.due_at is not None) == ("busy", True)
    assert tags()["oA"] == ""


def test_names_follow_wechat(shop, at_wechat):
    at_wechat.tags[101] = "Old"
    assert read_regularly() == 0
    assert read_names() == 1
    at_wechat.tags[101] = "New"
    at_wechat.tags.pop(2)
    TagRead.objects.update(read_at="2026-01-01T00:00:00Z")
    assert read_regularly() == 1
    read_names()
    assert list(FollowerTag.objects.values_list("number", "name")) == [(101, "New")]


# --- Pages and API --------------------------------------------------------------------------------


def test_an_operator_changes_one_follower_and_many(operator, shop, at_wechat, people):
    at_wechat.tags[101] = "熟客"
    read_regularly()
    read_names()
    page = reverse("admin:subscribers_subscriber_profile", args=[people[0].pk])
    assert "熟客" in operator.get(page).content.decode()
    posted = {"remark": "Li", "tags": ["熟客"], "new_tag": "VIP"}
    assert operator.post(page, posted).status_code == 302
    shown = operator.get(reverse("admin:subscribers_subscriber_change", args=[people[0].pk]))
    assert "being written to WeChat" in shown.content.decode()
    write_edits()
    assert at_wechat.remarks == {"oA": "Li"}
    entry = AuditEntry.objects.get(act="edit_profile")
    assert entry.details == {"tag": ["VIP", "熟客"], "remark": True}
    assert "VIP" in operator.get(LISTING).content.decode()
    tag_page = reverse("admin:subscribers_subscriber_tag")
    operator.post(f"{tag_page}?following=yes", {"act": "tag", "known": "熟客"})
    write_edits()
    assert at_wechat.tagged[101] == {"oA", "oB", "oC"}
    operator.post(f"{tag_page}?ids={people[1].pk}", {"act": "untag", "known": "熟客"})
    write_edits()
    assert at_wechat.tagged[101] == {"oA", "oC"}
    listed = operator.get(LISTING, {"tag": "101"}).context["cl"].result_list
    assert [row.openid for row in listed] == ["oC", "oA"]
    assert not operator.post(f"{tag_page}?following=yes", {"act": "tag"}).context["form"].is_valid()
    assert operator.get(f"{tag_page}?following=no").status_code == 302
    chosen = {"action": "edit_tags", "_selected_action": [people[0].pk]}
    assert f"ids={people[0].pk}" in operator.post(LISTING, chosen)["Location"]


def test_who_may_not_see_openids_neither_sees_nor_loses_the_remark(shop, people):
    Subscriber.objects.filter(pk=people[0].pk).update(remark="an old friend of Li")
    user = User.objects.create_user("clerk", is_staff=True)
    names = ("view_subscriber", "change_subscriber")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    page = reverse("admin:subscribers_subscriber_profile", args=[people[0].pk])
    assert "an old friend of Li" not in client.get(page).content.decode()
    client.post(page, {"remark": "stolen", "new_tag": "VIP"})
    assert list(FollowerEdit.objects.values_list("act", flat=True)) == ["tag"]


def test_the_api_names_tags_and_finds_by_them(client, shop, people):
    other = make_account("other")
    push(other, message_xml("event.subscribe", openid="oThere"))
    Subscriber.objects.filter(openid__in=["oA", "oThere"]).update(tag_ids="2,101")
    FollowerTag.objects.create(account=shop, number=101, name="VIP")
    user = User.objects.create_superuser("reader")
    _, key = ApiKey.issue(user=user, scopes=["subscribers:read"])
    headers = {"Authorization": f"Bearer {key}"}
    found = client.get("/api/v1/subscribers/", {"tag": "VIP"}, headers=headers).json()["results"]
    assert [(row["openid"], row["tags"]) for row in found] == [("oA", ["#2", "VIP"])]
    assert client.get("/api/v1/subscribers/?tag=no", headers=headers).status_code == 400
