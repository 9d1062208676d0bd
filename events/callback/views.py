"""Django's view of the callback URL, for sites without the front and for tests."""

from __future__ import annotations

from django.conf import settings
from django.db import Error, transaction
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from events.account_cache import account_with_key
from events.callback import receive
from events.callback.awaiting import Awaiting, begin_reply, wait_in_thread
from events.callback.group_commit import GroupCommit
from events.callback.receive import Answer, Push
from events.numbers import number_in

__all__ = ["callback", "take_push"]

_writer = GroupCommit(receive.open_push, receive.store_pushes, batch_size=settings.CALLBACK_BATCH)


# The view commits before it answers, so no transaction may be open around it.
@transaction.non_atomic_requests
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def callback(request: HttpRequest, callback_key: str) -> HttpResponse:
    """WeChat's entrance for an account: GET verifies the URL, POST pushes a message or event.

    Under `manage.py serve` the front (events/callback/front.py) stands before this view, and takes
    the same steps without a thread for each request.
    """
    answer = _answer(request, callback_key)
    return HttpResponse(
        answer.body,
        status=answer.status,
        content_type=f"{answer.content_type}; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _answer(request: HttpRequest, callback_key: str) -> Answer:
    query_string = request.META.get("QUERY_STRING", "")
    now = timezone.now()
    try:
        account = account_with_key(callback_key)
    except Exception as error:
        return receive.accounts_unreadable(error)
    if request.method != "POST":
        return receive.verify(account, callback_key, query_string, now=now)
    admitted = receive.admit(account, callback_key, query_string, now=now)
    if isinstance(admitted, Answer):
        return admitted
    return _take(request, admitted)


def _take(request: HttpRequest, push: Push) -> Answer:
    try:
        push.body = request.read(settings.CALLBACK_MAX_BODY + 1)
    except UnreadablePostError:
        return receive.cut_short(push)
    if len(push.body) > settings.CALLBACK_MAX_BODY:
        return receive.too_large(push)
    declared = request.META.get("CONTENT_LENGTH")
    if declared:
        length = number_in(declared)
        if length is None or len(push.body) < length:
            return receive.cut_short(push)
    return take_push(push)


def take_push(push: Push) -> Answer:
    """Stores a whole push, and waits for its answer in the caller's thread."""
    try:
        arrival, is_new = _writer.store(push)
    except Exception as error:
        is_of_database = isinstance(error, Error)
        found = receive.stored_all_the_same(push) if is_of_database else None
        if found is None:
            return receive.not_stored(push, error)
        reply = begin_reply(found, is_new=False)
    else:
        answer = receive.quick_answer(arrival, is_new)
        if answer is not None:
            return answer
        reply = begin_reply(arrival, is_new)
    return wait_in_thread(reply) if isinstance(reply, Awaiting) else reply
