"""Deleting a QR code while another operator saves it with its tags."""

from __future__ import annotations

import threading

import pytest
from django.db import connections, transaction

from events.testing import make_account
from subscribers.models import QRScene
from subscribers.models.scene import SceneTag
from subscribers.tests.locks import wait_for_a_lock

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def one(scene):
    scene.delete()


def all_chosen(scene):
    QRScene.objects.filter(pk=scene.pk).delete()


@pytest.mark.parametrize("delete", [one, all_chosen])
def test_deletion_waits_for_one_who_saves_the_code_and_its_tags(delete):
    scene = QRScene.objects.create(account=make_account(), scene="spring", name="Spring")
    scene.tags.set(SceneTag.named(["north"]))
    failed = []

    def run():
        try:
            delete(QRScene.objects.get())
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    deletion = threading.Thread(target=run)
    with transaction.atomic():
        scene.name = "Summer"
        scene.save()
        deletion.start()
        wait_for_a_lock(deletion)
        scene.tags.set(SceneTag.named(["south"]))
    deletion.join()
    assert failed == []
    assert not QRScene.objects.exists()
