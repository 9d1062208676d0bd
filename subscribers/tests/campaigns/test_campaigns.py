from __future__ import annotations

import csv
import datetime
import io
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from events.answering.publish_rules import draft_of
from events.media.lend import add_file
from events.models import ReplyRule, RuleVersion
from events.testing import make_account, make_rule, message_xml, push, reply_in
from subscribers.campaigns.results import results, total
from subscribers.models import Binding, FollowerEdit, QRScene, Subscriber
from subscribers.qr_codes.images import png, svg
from subscribers.qr_codes.sheet import sheet
from subscribers.stats.counting.update import update_statistics
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = pytest.mark.django_db

URL = "http://weixin.qq.com/q/02AbCdEfGhIjKlMnOpQrStUvWxYz"
RESULTS = reverse("admin:subscribers_qrscene_results")


@pytest.fixture
def account():
    return make_account(name="Spruce Books", app_secret="0" * 32)


def code(account, scene, **columns):
    return QRScene.objects.create(
        account=account, scene=scene, name=f"Shop {scene}", url=URL, due_at=None, **columns
    )


def comes(account, openid, scene, kind="event.subscribe"):
    key = f"qrscene_{scene}" if kind == "event.subscribe" else scene
    push(account, message_xml(kind, openid=openid, EventKey=key, Ticket="gQ"))


def test_results_count_scans_people_new_ones_and_add_up(operator, account):
    first = code(account, "a", group="North", owner="Li")
    second = code(account, "b", group="North")
    code(account, "c", group="South")
    comes(account, "o1", "a")
    comes(account, "o1", "a", "event.SCAN")
    comes(account, "o2", "a")
    push(account, message_xml("event.unsubscribe", openid="o2"))
    comes(account, "o3", "b")
    update_statistics()
    today = timezone.now().astimezone(account.zone).date()
    rows = results([first, second], today, today)
    assert [(r.name, r.scans, r.people, r.new, r.still) for r in rows] == [
        ("Shop a", 3, 2, 2, 1),
        ("Shop b", 1, 1, 1, 1),
    ]
    both = total(rows, "all")
    assert (both.scans, both.people, both.new, both.still) == (4, 3, 3, 2)
    page = operator.get(RESULTS, {"group": "North"}).content.decode()
    assert "Shop a" in page
    assert "Shop c" not in page
    assert "after 1 day<" in page
    assert "after 1 days" not in page
    # On a phone there is no row of headings: each number has its heading beside it.
    cells = re.findall('<td class="number"(.*?)>', page.partition("results-table")[2])
    assert all("data-name=" in cell for cell in cells)
    assert len(cells) == 3 * 8
    assert 'data-name="after 1 day"' in page
    written = b"".join(operator.get(RESULTS, {"format": "csv"}).streaming_content)
    listed = {row["scene"]: row for row in csv.DictReader(io.StringIO(written.decode("utf-8-sig")))}
    assert (listed["a"]["people"], listed["a"]["owner"], listed["c"]["scans"]) == ("2", "Li", "0")
    # The people behind a number.
    people = operator.get(
        reverse("admin:subscribers_subscriber_changelist"),
        {"came": f"{today}..{today}:qr:a", "following": "yes"},
    ).context["cl"]
    assert [row.openid for row in people.result_list] == ["o1"]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_results_end_today_by_the_clock_of_the_codes_account(operator, zone):
    there = make_account("there", time_zone=zone)
    QRScene.objects.create(account=there, scene="poster", name="Poster", due_at=None)
    before = timezone.now().astimezone(there.zone).date()
    shown = operator.get(RESULTS).context["last"]
    assert before <= shown <= timezone.now().astimezone(there.zone).date()


def test_results_with_only_a_last_day_show_the_thirty_days_before(operator, account):
    shown = operator.get(RESULTS, {"to": "2026-01-01"}).context
    assert (shown["first"], shown["last"]) == (
        datetime.date(2025, 12, 3), datetime.date(2026, 1, 1),
    )  # fmt: skip


def test_tags_of_a_code_are_put_on_who_comes_while_it_runs(account):
    today = timezone.now().astimezone(account.zone).date()
    day = datetime.timedelta(days=1)
    code(account, "now", follower_tags="VIP, North")
    code(account, "over", follower_tags="Old", runs_until=today - day)
    code(account, "soon", follower_tags="New", runs_from=today + day)
    for scene in ("now", "over", "soon"):
        comes(account, f"o-{scene}", scene)
    comes(account, "o-again", "now", "event.SCAN")
    update_statistics()
    edits = FollowerEdit.objects.order_by("tag_name")
    assert [(edit.tag_name, len(edit.people)) for edit in edits] == [("North", 2), ("VIP", 2)]
    update_statistics()
    assert FollowerEdit.objects.count() == 2


@pytest.mark.slow
def test_a_code_with_a_logo_can_still_be_scanned(account, decoded, private_storage):  # noqa: F811
    made = io.BytesIO()
    Image.new("RGB", (300, 200), "red").save(made, "PNG")
    drawn = png(URL, "店铺", made.getvalue())
    assert decoded(drawn) == [URL]
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.getpixel((picture.width // 2, picture.width // 2)) == (255, 0, 0)
    assert "data:image/png;base64," in svg(URL, made.getvalue())
    assert "<image" not in svg(URL)
    logo = add_file(account, "Logo", made.getvalue(), by=None)
    codes = [code(account, f"s{number}") for number in range(13)]
    QRScene.objects.update(logo=logo)
    pdf = sheet(list(QRScene.objects.select_related("account", "logo")))
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Type /Page\n") == 2
    assert len(codes) == 13


def test_a_codes_page_keeps_its_campaign_and_shows_its_welcome(operator, account):
    shop = code(account, "shop-1")
    make_rule(account, "event.subscribe", key="shop-1", content="Welcome to shop 1")
    page = reverse("admin:subscribers_qrscene_change", args=[shop.pk])
    text = operator.get(page).content.decode()
    rule = ReplyRule.objects.get()
    assert reverse("admin:events_replyrule_change", args=[rule.pk]) in text
    posted = {
        "name": "Shop 1", "note": "", "tag_names": "", "group": "North", "owner": "Li",
        "runs_from": "2026-11-01", "runs_until": "2026-11-30", "follower_tags": "VIP，North",
        "logo": "",
    }  # fmt: skip
    assert operator.post(page, posted).status_code == 302
    shop.refresh_from_db()
    assert (shop.group, shop.owner, shop.follower_tags) == ("North", "Li", "VIP, North")
    wrong = operator.post(page, posted | {"runs_until": "2026-10-01"}).context["adminform"].form
    assert "runs_until" in wrong.errors
    listing = reverse("admin:subscribers_qrscene_changelist")
    found = operator.get(listing, {"group": "North"}).context["cl"].result_list
    assert [row.pk for row in found] == [shop.pk]
    sheet_of = {"action": "download_sheet", "_selected_action": [shop.pk]}
    assert operator.post(listing, sheet_of)["Content-Type"] == "application/pdf"
    compare = {"action": "compare", "_selected_action": [shop.pk]}
    assert operator.post(listing, compare)["Location"].endswith(f"?ids={shop.pk}")


def test_more_codes_than_a_page_compares_are_refused_with_the_number(operator, account):
    for scene in range(501):
        code(account, f"s{scene}")
    compare = {"action": "compare", "select_across": "1", "_selected_action": [1]}
    page = operator.post(reverse("admin:subscribers_qrscene_changelist"), compare, follow=True)
    assert "Choose 500 codes at most." in page.content.decode()


def test_each_number_leads_to_exactly_the_people_it_counts(operator, account):
    shop = code(account, "a")
    code(account, "b")
    now = int(timezone.now().timestamp())
    day = 24 * 3600

    def acts(openid, kind, days_ago, scene="a"):
        key = {} if kind == "event.unsubscribe" else {
            "EventKey": f"qrscene_{scene}" if kind == "event.subscribe" else scene, "Ticket": "gQ",
        }  # fmt: skip
        push(account, message_xml(kind, openid=openid, at=now - int(days_ago * day), **key))

    for openid, left in (("o-40", 0), ("o-left-soon", 39.5), ("o-left-later", 35), ("o-left", 5)):
        acts(openid, "event.subscribe", 40)
        if left:
            acts(openid, "event.unsubscribe", left)
    acts("o-left-soon", "event.subscribe", 3)
    acts("o-3", "event.subscribe", 3)
    acts("o-before", "event.subscribe", 60, "b")
    acts("o-before", "event.unsubscribe", 50)
    acts("o-before", "event.subscribe", 20)
    acts("o-scans", "event.subscribe", 60, "b")
    acts("o-scans", "event.SCAN", 2)
    acts("o-other", "event.subscribe", 2, "b")
    update_statistics()
    user = User.objects.create_user("bound")
    bound = Subscriber.objects.get(openid="o-40")
    Binding.objects.create(
        account=account, subscriber=bound, user=user, bound_at=timezone.now(), event_id=1,
        event_time=timezone.now(),
    )  # fmt: skip
    update_statistics()
    last = timezone.now().astimezone(account.zone).date()
    first = last - datetime.timedelta(days=45)
    page = operator.get(RESULTS, {"ids": shop.pk, "from": first, "to": last})
    (shown,) = page.context["rows"]
    row, links = shown["row"], shown["links"]
    counted = {
        "people": row.people, "new": row.new, "still": row.still, "bound": row.bound,
        **{f"after-{days}": number for days, number in row.retained.items()},
    }  # fmt: skip
    assert counted == {
        "people": 7, "new": 5, "still": 4, "bound": 1, "after-1": 5, "after-7": 3, "after-30": 2
    }  # fmt: skip
    for step, number in counted.items():
        listed = operator.get(links[step]).context["cl"].result_list
        assert (step, len(listed)) == (step, number)
        assert links[step].replace("&", "&amp;") in page.content.decode()
    told = operator.get(links["after-30"]).content.decode()
    assert f"Shop a · still there after 30 days · {first} – {last}" in told


def posted_page(text, **more):
    return {"name": "Shop 1", "note": "", "tag_names": "", "welcome_text": text, **more}


@pytest.mark.slow
def test_the_welcome_is_written_on_the_codes_page_and_wins(operator, account):
    shop = code(account, "shop-1")
    make_rule(account, "event.subscribe", content="Hello")
    page = reverse("admin:subscribers_qrscene_change", args=[shop.pk])
    assert "answered by the first of these" in operator.get(page).content.decode()
    assert "2048" in str(
        operator.post(page, posted_page("字" * 700)).context["adminform"].form.errors
    )
    assert operator.post(page, posted_page("Welcome to shop 1")).status_code == 302
    assert [rule.answers[0].content for rule in draft_of(account.pk)] == [
        "Welcome to shop 1", "Hello",
    ]  # fmt: skip
    shown = operator.get(page).content.decode()
    assert "It answers every follow by this code" in shown
    assert "not published" in shown
    follow = {"openid": "o1", "EventKey": "qrscene_shop-1", "Ticket": "gQ"}
    first = push(account, message_xml("event.subscribe", **follow))
    assert reply_in(first, account)["Content"] == "Hello"
    operator.post(page, posted_page("Welcome to shop 1", publish_welcome="on"))
    again = push(account, message_xml("event.subscribe", **{**follow, "openid": "o2"}))
    assert reply_in(again, account)["Content"] == "Welcome to shop 1"
    assert "published" in operator.get(page).content.decode()

    # Another change of the draft is not published with it.
    ReplyRule.objects.create(
        account=account, position=0, name="All", trigger={"on": "follow"},
        answers=[{"kind": "text", "content": "First"}],
    )  # fmt: skip
    said = operator.post(page, posted_page("New", publish_welcome="on"), follow=True)
    assert "other changes of the reply rules wait too" in said.content.decode()
    assert "It never wins: rule 1" in operator.get(page).content.decode()
    assert RuleVersion.objects.count() == 2
    operator.post(page, posted_page(""))
    assert [rule.name for rule in draft_of(account.pk)] == ["All", "Hello"]


@pytest.mark.parametrize("right", ["view_qrscene", "change_qrscene"])
def test_who_may_not_see_rules_sees_no_welcome(client, account, right):
    shop = code(account, "shop-1")
    make_rule(account, "event.subscribe", content="Good morning")
    make_rule(account, "event.subscribe", key="shop-1", content="Good evening")
    user = User.objects.create_user("counts", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename=right))
    client.force_login(user)
    client.cookies["django_language"] = "en"
    page = reverse("admin:subscribers_qrscene_change", args=[shop.pk])
    shown = client.get(page).content.decode()
    assert "Shop shop-1" in shown
    assert not re.search("Welcome|Good morning|Good evening|replyrule", shown)
    if right == "change_qrscene":
        assert client.post(page, posted_page("Good night")).status_code == 302
        shop.refresh_from_db()
        assert shop.name == "Shop 1"
        assert len(draft_of(account.pk)) == 2
    ReplyRule.objects.all().delete()
    assert "Welcome" not in client.get(page).content.decode()


def test_a_welcome_of_more_than_a_text_is_left_to_the_rules(operator, account):
    shop = code(account, "shop-1")
    rule = make_rule(account, "event.subscribe", key="shop-1", content="Hello")
    rule.answers = [*rule.answers, {"kind": "text", "content": "Second"}]
    rule.save()
    page = reverse("admin:subscribers_qrscene_change", args=[shop.pk])
    shown = operator.get(page).content.decode()
    assert "Hello / Second" in shown
    assert 'name="welcome_text"' not in shown
    operator.post(page, posted_page("x"))
    assert len(draft_of(account.pk)[0].answers) == 2
