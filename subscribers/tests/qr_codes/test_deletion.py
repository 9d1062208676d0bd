"""Deleting a QR code while another operator saves it with its tags."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, connections, transaction

from events.testing import make_account
from subscribers.models import QRScene
from subscribers.models.scene import SceneTag

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def one(scene):
    scene.delete()


def all_chosen(scene):
    QRScene.objects.filter(pk=scene.pk).delete()


def wait_for_a_lock(thread):
    """Returns when the thread's connection waits for a lock, or when the thread has ended."""
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
    with connection.cursor() as cursor:
        while thread.is_alive():
            cursor.execute(waiting)
            if cursor.fetchone():
                return
            time.sleep(0.01)


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
