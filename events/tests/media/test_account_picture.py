"""The picture of an account: from the operator's file to the name of a small square."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from events.media.account_picture import inline_picture, prepared
from events.media.uploaded_picture import LARGEST, NoPicture
from events.models import AuditEntry, OfficialAccount, private_files
from events.testing import make_account
from events.tests.admin.test_admin import account_url, form_of
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = pytest.mark.django_db


def picture(kind="PNG", size=(300, 200), colour="red", **options):
    """A file whose left and right thirds are of another colour than its middle."""
    drawn = Image.new("RGB", size, "blue")
    drawn.paste(colour, (size[0] // 4, 0, size[0] * 3 // 4, size[1]))
    content = io.BytesIO()
    drawn.save(content, kind, **options)
    return content.getvalue()


def upload(content, name="logo.png"):
    return SimpleUploadedFile(name, content)


def drawn_in(address):
    kind, _, encoded = address.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_the_middle_is_kept_small_square_and_bare(kind):
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    kept = prepared(picture(kind, **({"exif": exif} if kind == "JPEG" else {})))
    square = Image.open(io.BytesIO(kept))
    assert (square.format, square.size, dict(square.getexif())) == ("JPEG", (128, 128), {})
    red, _green, blue = square.getpixel((64, 64))
    assert red > 200
    assert blue < 60
    assert len(kept) < 20_000


def bomb():
    """A PNG of 30,000 × 30,000 pixels in a few bytes."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        picture()[:200],
        picture("BMP"),
        picture("PNG", (4097, 10)),
        b"\x00" * (LARGEST + 1),
        bomb(),
    ],
    ids=["empty", "svg", "cut", "bmp", "wide", "large", "bomb"],
)
def test_anything_else_is_refused(content):
    with pytest.raises(NoPicture):
        prepared(content)


def test_an_operator_gives_changes_and_removes_it(
    operator,
    private_storage,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    account = make_account()

    def post(**change):
        with django_capture_on_commit_callbacks(execute=True):
            response = operator.post(account_url(account), form_of(account, **change))
        account.refresh_from_db()
        return response

    assert post(new_picture=upload(picture())).status_code == 302
    first = account.picture
    assert drawn_in(inline_picture(account)).size == (128, 128)
    assert inline_picture(account) in operator.get(account_url(account)).content.decode()
    post(name="Renamed")
    assert account.picture == first
    post(new_picture=upload(picture(colour="green")))
    second = account.picture
    assert second != first
    assert not private_files().exists(first)
    refused = post(new_picture=upload(b"no picture"))
    assert "no JPG, PNG or GIF" in refused.content.decode()
    assert account.picture == second
    post(removes_picture="on")
    assert (account.picture, inline_picture(account)) == ("", "")
    assert not private_files().exists(second)
    changes = (
        AuditEntry.objects.filter(act="change").order_by("pk").values_list("changes", flat=True)
    )
    assert [change["picture"] for change in changes if "picture" in change] == [
        ["", first],
        [first, second],
        [second, ""],
    ]


def test_it_goes_with_its_account(
    operator,
    private_storage,  # noqa: F811
    django_capture_on_commit_callbacks,
):
    account = make_account()
    operator.post(account_url(account), form_of(account, new_picture=upload(picture())))
    name = OfficialAccount.objects.get().picture
    with django_capture_on_commit_callbacks(execute=True):
        operator.post(account_url(account, "delete"), {"post": "yes"})
    assert not OfficialAccount.objects.exists()
    assert not private_files().exists(name)


def test_who_may_only_look_sees_it_and_cannot_change_it(client, django_user_model, private_storage):  # noqa: F811
    from django.contrib.auth.models import Permission

    account = make_account()
    viewer = django_user_model.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_officialaccount"))
    client.force_login(viewer)
    page = client.get(reverse("admin:events_officialaccount_change", args=[account.pk]))
    assert "new_picture" not in page.content.decode()
    client.post(account_url(account), form_of(account, new_picture=upload(picture())))
    account.refresh_from_db()
    assert account.picture == ""


def test_a_file_that_is_gone_leaves_the_name_alone(private_storage):  # noqa: F811
    assert inline_picture(make_account(picture="accounts/gone.jpg")) == ""
