"""Files that the worker writes while a person is erased."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User

from events.stats.update import update_statistics
from events.testing import make_account, message_xml, push
from events.tests.media.test_media import picture
from subscribers.inbox import media as inbox_media
from subscribers.models import Erasure, FollowerExport, ReceivedMedia
from subscribers.personal_data.erase import erase
from subscribers.personal_data.requests import request_erasure
from subscribers.segments.export import write_exports
from subscribers.tests.locks import InAnotherThread, wait_for_a_lock
from subscribers.tests.webhooks.meanwhile import before_statement, before_update
from wechat_site.tests.files import private_storage  # noqa: F401

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def names_in(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_a_picture_that_arrives_while_its_sender_is_erased_leaves_no_file(
    private_storage,  # noqa: F811
    monkeypatch,
):
    account = make_account(app_secret="0" * 32)
    push(account, message_xml("image", openid="oWriter", MediaId="m"))
    update_statistics()
    request = request_erasure(account, "oWriter", reason=Erasure.Reason.REQUESTED)
    is_asked, answers = threading.Event(), threading.Event()

    def get(_media_id, *, most):
        is_asked.set()
        answers.wait(60)
        return SimpleNamespace(data=picture("PNG"))

    wechat = SimpleNamespace(media=SimpleNamespace(get=get))
    monkeypatch.setattr(inbox_media, "client_for", lambda _account: wechat)
    fetching = InAnotherThread(inbox_media.fetch_media)
    fetching.start()
    assert is_asked.wait(60)

    def arrive():
        answers.set()
        wait_for_a_lock(fetching)

    with before_statement('DELETE FROM "subscribers_receivedmedia"', arrive):
        erase(request)
    fetching.join()
    assert fetching.failed == []
    assert not ReceivedMedia.objects.exists()
    assert names_in(private_storage) == []


def test_no_export_is_written_between_its_removal_and_the_end_of_an_erasure(
    private_storage,  # noqa: F811
):
    account = make_account()
    push(account, message_xml("text", openid="oWriter"))
    request = request_erasure(account, "oWriter", reason=Erasure.Reason.REQUESTED)
    root = User.objects.create_superuser("root")
    FollowerExport.objects.create(user=root, format="csv", language="en")

    def export():
        writing = InAnotherThread(write_exports)
        writing.start()
        writing.join()
        assert writing.failed == []

    with before_update("django_admin_log", export):
        erase(request)
    write_exports()
    [file] = (private_storage / "exports").iterdir()
    assert "oWriter" not in file.read_text()


def test_an_export_that_begins_after_their_removal_waits_for_the_end_of_the_erasure(
    private_storage,  # noqa: F811
):
    account = make_account()
    push(account, message_xml("text", openid="oWriter"))
    request = request_erasure(account, "oWriter", reason=Erasure.Reason.REQUESTED)
    root = User.objects.create_superuser("root")

    def export():
        FollowerExport.objects.create(user=root, format="csv", language="en")
        write_exports()

    writing = InAnotherThread(export)

    def begin():
        writing.start()
        wait_for_a_lock(writing)

    with before_update("django_admin_log", begin):
        erase(request)
    writing.join()
    assert writing.failed == []
    write_exports()
    [file] = (private_storage / "exports").iterdir()
    assert "oWriter" not in file.read_text()
