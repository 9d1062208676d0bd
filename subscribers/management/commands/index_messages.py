"""The command `index_messages`: fills the search in the texts of messages anew."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from events.models import MessageText
from events.search.fill import index_texts, note_all
from events.search.index import remove
from subscribers.messages.index import index_messages
from subscribers.models import OutgoingMessage


class Command(BaseCommand):
    help = "Fills the search in the texts of messages anew, from the log and the messages sent."

    def handle(self, *args: Any, **options: Any) -> None:
        remove(MessageText.objects.all())
        noted = note_all()
        sent = OutgoingMessage.objects.filter(state=OutgoingMessage.State.SENT)
        messages = sent.order_by("pk")
        batch: list[OutgoingMessage] = []
        for message in messages.iterator(chunk_size=500):
            batch.append(message)
            if len(batch) == 500:
                index_messages(batch)
                batch = []
        index_messages(batch)
        while index_texts():
            pass
        self.stdout.write(f"Read {noted} events; {MessageText.objects.count()} texts can be found.")
