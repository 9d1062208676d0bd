"""QR codes and the codes of binding requests through the API."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from events.models import ApiKey, MediaFile, private_files
from events.people.scopes import READ_SCOPES, SCOPES
from events.platform.rights import ask_regularly
from events.simulator.fake_api import Fault
from events.testing import message_xml, push
from subscribers.binding.bind import start_binding
from subscribers.models import BindingRequest, QRScene
from subscribers.qr_codes import create
from subscribers.qr_codes.create import NewQRCode, create_qr_code
from subscribers.qr_codes.fetch_tickets import fetch_binding_tickets, fetch_scene_tickets

pytestmark = pytest.mark.django_db

CREATE = "/cgi-bin/qrcode/create"


def key_of(user, scopes=SCOPES):
    _, key = ApiKey.issue(user=user, scopes=list(scopes))
    return {"Authorization": f"Token {key}"}


@pytest.fixture
def alice(db):
    return User.objects.create_superuser("alice")


@pytest.fixture
def headers(alice):
    return key_of(alice)


@pytest.fixture
def post(client, headers):
    def send(path, data=None, headers=headers):
        return client.post(
            f"/api/v1/{path}", data or {}, content_type="application/json", headers=headers
        )

    return send


@pytest.fixture
def get(client, headers):
    def ask(path, headers=headers, **query):
        return client.get(f"/api/v1/{path}", query, headers=headers)

    return ask


def test_a_code_is_made_and_asked_for_until_it_is_there(post, get, shop, at_wechat, decoded):
    made = post(
        "scenes/",
        {
            "account": "shop",
            "name": "地铁海报",
            "scene": "metro",
            "tags": ["上海"],
            "note": "2号线",
        },
    )
    assert made.status_code == 201
    row = made.json()
    assert row.pop("created_at")
    assert row == {
        "id": QRScene.objects.get().pk,
        "account": "shop",
        "scene": "metro",
        "name": "地铁海报",
        "note": "2号线",
        "tags": ["上海"],
        "is_permanent": True,
        "expire_seconds": None,
        "expires_at": None,
        "is_expired": False,
        "state": "waiting",
        "failure": "",
        "failure_text": "",
        "ticket": "",
        "url": "",
    }
    path = f"scenes/{row['id']}/"
    assert get(f"{path}qr.svg").status_code == 404
    fetch_scene_tickets()
    [issued] = at_wechat.codes
    ready = get(path).json()
    assert (ready["state"], ready["url"], ready["ticket"]) == ("ready", issued.url, issued.ticket)
    svg, png = get(f"{path}qr.svg"), get(f"{path}qr.png")
    assert (svg["Content-Type"], png["Content-Type"]) == ("image/svg+xml", "image/png")
    assert decoded(png.content) == [issued.url]
    assert get("scenes/", tag="上海", state="ready").json()["results"] == [ready]
    content = BytesIO()
    Image.new("RGB", (60, 60), "red").save(content, "PNG")
    path_of_logo = private_files().save("media/logo.png", ContentFile(content.getvalue()))
    logo = MediaFile.objects.create(
        account=shop, kind=MediaFile.Kind.IMAGE, title="Logo", file=path_of_logo, size=1
    )
    QRScene.objects.update(logo=logo)
    with_logo = get(f"{path}qr.png").content
    assert b"<image" in get(f"{path}qr.svg").content
    assert with_logo != png.content
    assert decoded(with_logo) == [issued.url]
    assert get("scenes/", state="failed").json()["results"] == []
    assert get("scenes/", state="odd").status_code == 400


def test_a_temporary_code_and_its_renewal(post, get, shop, at_wechat):
    made = post("scenes/", {"account": "shop", "name": "Fair", "expire_seconds": 600}).json()
    assert (made["is_permanent"], made["expire_seconds"], len(made["scene"])) == (False, 600, 14)
    renew = f"scenes/{made['id']}/renew/"
    assert post(renew).status_code == 400
    fetch_scene_tickets()
    QRScene.objects.update(expires_at=timezone.now())
    assert get(f"scenes/{made['id']}/").json()["state"] == "expired"
    again = post(renew)
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    fetch_scene_tickets()
    assert get(f"scenes/{made['id']}/").json()["state"] == "ready"


def test_a_failure_is_seen_and_tried_again(post, get, shop, fake):
    fake.make_trouble(CREATE, Fault(errcode=48001))
    made = post("scenes/", {"account": "shop", "name": "Poster"}).json()
    fetch_scene_tickets()
    failed = get(f"scenes/{made['id']}/").json()
    assert (failed["state"], failed["failure"]) == ("failed", "permission")
    assert "48001" in failed["failure_text"]
    # The account lacks the right until WeChat says otherwise.
    refused = post(f"scenes/{made['id']}/renew/")
    assert refused.json()["errors"]["account"][0]["code"] == "permission"
    ask_regularly()
    assert post(f"scenes/{made['id']}/renew/").status_code == 202
    fetch_scene_tickets()
    assert get(f"scenes/{made['id']}/").json()["state"] == "ready"
    assert post(f"scenes/{made['id']}/renew/").status_code == 400


def test_a_code_made_elsewhere_is_adopted(post, get, shop):
    push(shop, message_xml("event.SCAN", EventKey="old", Ticket="gQOLD"))
    made = post("scenes/", {"account": "shop", "name": "Old", "scene": "old", "adopt": True}).json()
    assert (made["state"], made["ticket"]) == ("elsewhere", "gQOLD")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account": "nowhere"}, "account"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"scene": "qrscene_x"}, "scene"),
        ({"scene": "bind-x"}, "scene"),
        ({"scene": "s" * 65}, "scene"),
        ({"scene": "a\0b"}, "scene"),
        ({"scene": "taken"}, "scene"),
        ({"scene": ""}, "scene"),
        ({"expire_seconds": 0}, "expire_seconds"),
        ({"expire_seconds": 2_592_001}, "expire_seconds"),
        ({"tags": ["t" * 31]}, "tags"),
        ({"tags": "spring"}, "tags"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": ["\ud800"]}, "tags"),
        ({"account": "\ud800"}, "account"),
        ({"account": "a\0b"}, "account"),
        ({"account": ["shop"]}, "account"),
        ({"name": "\ud800"}, "name"),
        ({"name": "\u202eback"}, "name"),
        ({"name": ["x"]}, "name"),
        ({"scene": "\udfff"}, "scene"),
        ({"scene": True}, "scene"),
        ({"note": "\ud800"}, "note"),
        ({"note": "a\0b"}, "note"),
        ({"expire_seconds": 1e99}, "expire_seconds"),
        ({"adopt": True}, "scene"),
        ({"adopt": True, "scene": "s", "expire_seconds": 60}, "expire_seconds"),
    ],
)
def test_what_cannot_be_made_is_400(post, shop, change, field):
    create_qr_code(shop, NewQRCode("There", "taken"))
    response = post("scenes/", {"account": "shop", "name": "Poster", **change})
    assert response.status_code == 400
    assert [name.partition(".")[0] for name in response.json()["errors"]] == [field]
    assert QRScene.objects.count() == 1


def test_a_scene_may_be_given_as_a_number(post, get, shop):
    made = post("scenes/", {"account": "shop", "name": "Till", "scene": 123})
    assert (made.status_code, made.json()["scene"]) == (201, "123")
    again = post("scenes/", {"account": "shop", "name": "Till", "scene": "123"})
    assert (again.status_code, list(again.json()["errors"])) == (400, ["scene"])
    assert get("scenes/", scene="\0").status_code == 400
    assert get("scenes/", tag="\0").status_code == 400


def test_beyond_wechats_limit_is_400(post, shop, monkeypatch):
    monkeypatch.setattr(create, "MOST_PERMANENT_CODES", 0)
    response = post("scenes/", {"account": "shop", "name": "Poster"})
    assert (response.status_code, list(response.json()["errors"])) == (400, ["expire_seconds"])


def test_making_and_renewing_need_the_write_scope(post, shop, alice):
    code = create_qr_code(shop, NewQRCode("Poster"), adopt=True)
    for scopes in (READ_SCOPES, ["bindings:write", "events:read"]):
        readers = key_of(alice, scopes)
        for path in ("scenes/", f"scenes/{code.pk}/renew/"):
            response = post(path, {"account": "shop", "name": "x"}, headers=readers)
            assert response.status_code == 403
    assert QRScene.objects.get().due_at is None
    assert post("scenes/", {"account": "shop", "name": "x"}, headers={}).status_code == 401


# --- The code of a binding request -------------------------------------------------------------


def test_the_owner_alone_is_shown_his_code(get, shop, at_wechat, alice):
    request = start_binding(account=shop, user=alice)
    path = f"binding-requests/{request.pk}/"
    assert get(path).json()["url"] is None
    assert get(f"{path}qr.svg").status_code == 404
    fetch_binding_tickets()
    [issued] = at_wechat.codes
    shown = get(path)
    assert shown.json()["url"] == issued.url
    assert shown["Cache-Control"] == "no-store"
    picture = get(f"{path}qr.svg")
    assert (picture["Content-Type"], picture["Cache-Control"]) == ("image/svg+xml", "no-store")
    assert picture.content.startswith(b"<svg ")

    root = key_of(User.objects.create_superuser("root"))
    for secret in (issued.url, issued.ticket, issued.scene):
        for other in ("binding-requests/", path, f"{path}qr.svg"):
            assert secret not in get(other, headers=root).content.decode()
    assert get(f"{path}qr.svg", headers=root).status_code == 403
    assert get(f"{path}qr.svg", headers=key_of(alice, ["scenes:read"])).status_code == 403
    assert issued.url not in get("binding-requests/").content.decode()


def test_a_code_is_gone_when_it_was_scanned_or_has_expired(get, shop, at_wechat, alice):
    request = start_binding(account=shop, user=alice)
    path = f"binding-requests/{request.pk}/"
    fetch_binding_tickets()
    BindingRequest.objects.update(expires_at=timezone.now())
    assert get(path).json()["url"] is None
    assert get(f"{path}qr.svg").status_code == 404
    second = start_binding(account=shop, user=alice)
    fetch_binding_tickets()
    push(shop, message_xml("event.SCAN", EventKey=second.scene))
    path = f"binding-requests/{second.pk}/"
    assert (get(path).json()["state"], get(path).json()["url"]) == ("bound", None)
    assert get(f"{path}qr.svg").status_code == 404


def test_renewing_needs_the_permission_that_the_admin_needs(post, shop, at_wechat):
    code = create_qr_code(shop, NewQRCode("Fair", "fair"), expire_seconds=3600)
    fetch_scene_tickets()
    user = User.objects.create_user("lin")
    user.user_permissions.set(Permission.objects.filter(codename="add_qrscene"))
    headers = key_of(user, ["scenes:write"])
    refused = post(f"scenes/{code.pk}/renew/", headers=headers)
    assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")
    assert "subscribers.change_qrscene" in refused.json()["detail"]
    user.user_permissions.add(Permission.objects.get(codename="change_qrscene"))
    assert post(f"scenes/{code.pk}/renew/", headers=headers).status_code == 202
