"""WeChat's side itself: its people are consistent, its pushes authentic, its judgement strict."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest

from events.kinds import openid_of, scene_of
from events.simulator import (
    Code,
    Delivery,
    Follower,
    IllegalAnswer,
    Letter,
    Population,
    Push,
    PushSender,
    Repertoire,
    acts,
    believable_times,
    check_answer,
    disturbed,
    undelivered,
)
from events.wechat import (
    Credentials,
    SealingKey,
    SecurityMode,
    TextReply,
    open_push,
    parse_message,
    render,
    seal,
)

pytestmark = pytest.mark.any_database

ORIGINAL_ID = "gh_5f2c81d0a7be"
START = 1767225600
SAFE = Credentials(
    app_id="wx3a9f0c27d81be645",
    mode=SecurityMode.SAFE,
    tokens=("Rk7mWechatTok2026",),
    aes_keys=("mQ3vT8yB1nXc5KzL0pRs7UeWdG2hJ4aF6iOqYtNbVxD",),
)
# For answers that are meant to be late; the others have time enough on the busiest machine.
DEADLINE = 0.3


def population(seed: str = "people", **arguments) -> Population:
    return Population(ORIGINAL_ID, random=Random(seed), **arguments)


def pushes(count: int, seed: str = "people") -> list[Push]:
    return list(acts(population(seed), range(START, START + count)))


def reply_to(push: Push, **changes) -> str:
    names = {"to_user_name": push.openid, "from_user_name": ORIGINAL_ID}
    return render(TextReply("好的 😀"), create_time=START, **(names | changes))


def sealed(reply: str, **key) -> bytes:
    key = {"token": SAFE.tokens[0], "aes_key": SAFE.aes_keys[0]} | key
    return seal(
        reply,
        SealingKey(**key),
        app_id=SAFE.app_id,
        timestamp=START,
        nonce="4711",
        random=bytes(16),
    ).encode()


# --- People and their acts ---


def test_the_same_seed_and_times_give_the_same_events():
    bodies = [push.body for push in pushes(500)]
    assert bodies == [push.body for push in pushes(500)]
    assert bodies != [push.body for push in pushes(500, seed="others")]


def test_nobody_acts_who_does_not_follow_and_nobody_twice_in_a_second():
    following: set[str] = set()
    last: dict[str, int] = {}
    for push in pushes(5000):
        assert push.create_time > last.get(push.openid, 0)
        last[push.openid] = push.create_time
        if push.kind == "event.subscribe":
            assert push.openid not in following
            following.add(push.openid)
        else:
            assert push.openid in following
        if push.kind == "event.unsubscribe":
            following.remove(push.openid)


def test_everything_a_follower_can_do_occurs_and_reads_as_what_it_is():
    kinds: Counter[str] = Counter()
    for push in pushes(5000):
        message = parse_message(push.body)
        assert re.fullmatch(r"o[A-Za-z0-9_-]{27}", openid_of(message))
        assert message.to_user_name == ORIGINAL_ID
        assert (openid_of(message), message.create_time, message.kind) == (
            push.openid,
            push.create_time,
            push.kind,
        )
        kinds[message.kind] += 1
        if push.event_key.startswith("qrscene_"):
            assert scene_of(message)
            assert message.ticket
    assert set(kinds) == {
        *("event.subscribe", "event.unsubscribe", "event.scan", "event.click", "event.view"),
        *("event.view_miniprogram", "event.scancode_waitmsg", "event.location"),
        *("event.templatesendjobfinish", "text", "image", "voice", "video", "shortvideo"),
        *("location", "link"),
    }


def test_many_acts_in_one_second_are_those_of_many_people():
    crowd = list(acts(population(), itertools.repeat(START, 300)))
    assert len({push.openid for push in crowd}) == 300


def test_known_people_go_on_where_they_were():
    following = {f"oAAAAA{number:022}" for number in range(20)}
    gone = {f"oBBBBB{number:022}" for number in range(20)}
    people = population(
        known=[
            *(Follower(openid, is_following=True) for openid in sorted(following)),
            *(Follower(openid) for openid in sorted(gone)),
        ]
    )
    seen = [people.next_push(START + second) for second in range(1000)]
    first = {push.openid: push.kind for push in reversed(seen)}
    assert {first[openid] for openid in gone & first.keys()} == {"event.subscribe"}
    assert "event.subscribe" not in {first[openid] for openid in following & first.keys()}


def test_people_do_only_what_there_is_something_for():
    people = population(
        repertoire=Repertoire(posters=(), menu_keys=(), urls=(), pages=(), tools=())
    )
    kinds = {people.next_push(START + second).kind for second in range(3000)}
    assert kinds == {
        *("event.subscribe", "event.unsubscribe", "event.location", "event.templatesendjobfinish"),
        *("text", "image", "voice", "video", "shortvideo", "location"),
    }
    people.repertoire = Repertoire(menu_keys=("NEW",), urls=())
    keys = {
        push.event_key
        for second in range(3000, 4000)
        if (push := people.next_push(START + second)).kind == "event.click"
    }
    assert keys == {"NEW"}


@pytest.mark.parametrize(
    ("event", "name", "given"),
    [
        ("scancode_push", "ScanCodeInfo", "ScanResult"),
        ("scancode_waitmsg", "ScanCodeInfo", "ScanResult"),
        ("pic_weixin", "SendPicsInfo", "PicList"),
        ("location_select", "SendLocationInfo", "Label"),
    ],
)
def test_entries_that_open_a_tool_come_with_what_it_gave(event, name, given):
    people = population(repertoire=Repertoire(tools=((event, "THE_KEY"),)))
    pushes = (people.next_push(START + second) for second in range(10_000))
    push = next(push for push in pushes if push.event == event)
    assert push.event_key == "THE_KEY"
    assert parse_message(push.body).fields[name][given]


def test_whoever_scanned_a_code_asks_to_unbind_sooner_or_later_and_nobody_else():
    people = population()
    assert "解绑".encode() not in b"".join(
        people.next_push(START + second).body for second in range(2000)
    )
    [scan, *_] = people.scan(Code("code", ticket="gQ", made_at=START + 2000), START + 2000)
    later = [people.next_push(START + second) for second in range(2001, 4000)]
    asked = [push for push in later if "解绑".encode() in push.body]
    assert scan.openid in {push.openid for push in asked}
    assert 1 <= len(asked) <= 2


def test_a_message_is_answered_by_its_choices_or_in_words():
    openid = "o" + "a" * 27
    people = population(known=[Follower(openid, is_following=True)])
    answer = people.answer(Letter(openid, (("1", "满意"), ("2", "不满意"))), START)
    tapped = parse_message(answer.body).fields
    assert (tapped["bizmsgmenuid"], tapped["Content"]) in {("1", "满意"), ("2", "不满意")}
    assert people.answer(Letter(openid), START) is None, "once in a second"
    written = parse_message(people.answer(Letter(openid), START + 1).body)
    assert written.fields["Content"] in Repertoire().answers
    assert people.leave(START + 2).openid == openid
    assert people.answer(Letter(openid), START + 3) is None
    assert people.answer(Letter("o" + "b" * 27), START + 3) is None
    assert people.come_back(START + 4).kind == "event.subscribe"
    assert people.come_back(START + 5) is None


def test_new_people_have_openids_like_those_that_are_known():
    people = population(known=[Follower("oABCDE" + "1" * 22)])
    openids = {people.next_push(START + second).openid for second in range(200)}
    assert len(openids) > 5
    assert {openid[:6] for openid in openids} == {"oABCDE"}


def test_a_share_of_follows_and_unfollows_is_lost_and_nothing_else():
    sent = pushes(5000)
    taken = list(undelivered(sent, share=0.3, random=Random(7)))
    lost = [push for push in sent if push not in taken]
    assert {push.kind for push in lost} == {"event.subscribe", "event.unsubscribe"}
    in_question = [push for push in sent if push.kind in {push.kind for push in lost}]
    assert 0.2 < len(lost) / len(in_question) < 0.4


def test_codes_are_scanned_by_one_person_by_one_twice_and_by_two():
    people = population()
    for second in range(300):
        people.next_push(START + second)
    shapes: Counter[tuple[int, int]] = Counter()
    for number in range(200):
        code = Code(f"code-{number}", ticket="gQ", made_at=START + 1000 + 10 * number)
        scans = people.scan(code, START)
        assert {push.event_key.removeprefix("qrscene_") for push in scans} == {code.scene}
        assert all(push.create_time >= code.made_at for push in scans)
        shapes[len(scans), len({push.openid for push in scans})] += 1
    assert set(shapes) == {(1, 1), (2, 1), (2, 2)}


def test_believable_times_rise_and_are_quiet_at_night():
    times = believable_times(Random(1), start=START, end=START + 14 * 86400, count=2000)
    assert times == sorted(times)
    assert START <= times[0] <= times[-1] < START + 14 * 86400
    hours = Counter((at + 8 * 3600) % 86400 // 3600 for at in times)
    assert hours[20] > 4 * hours[3]


def test_disturbance_loses_nothing_repeats_a_share_and_changes_the_order():
    sent = pushes(2000)
    deliveries = list(disturbed(sent, duplicates=0.1, reorder=0.2, random=Random(7)))
    firsts = [delivery.push for delivery in deliveries if not delivery.is_duplicate]
    assert sorted(map(id, firsts)) == sorted(map(id, sent))
    assert firsts != sent
    assert 140 < len(deliveries) - len(firsts) < 260


def test_without_disturbance_all_is_in_order():
    sent = pushes(50)
    deliveries = disturbed(sent, duplicates=0, reorder=0, random=Random(7))
    assert list(deliveries) == [Delivery(push, False) for push in sent]


# --- What counts as a legal answer ---


def test_acknowledgements_and_replies_are_told_apart():
    [push] = pushes(1)
    for body, is_reply in [(b"", False), (b"success", False), (sealed(reply_to(push)), True)]:
        assert check_answer(body, push, credentials=SAFE, original_id=ORIGINAL_ID) is is_reply


def test_a_plain_reply_is_legal_where_wechat_takes_one():
    [push] = pushes(1)
    plain = reply_to(push).encode()
    for mode in (SecurityMode.PLAINTEXT, SecurityMode.COMPATIBLE):
        credentials = replace(SAFE, mode=mode)
        assert check_answer(plain, push, credentials=credentials, original_id=ORIGINAL_ID)
    with pytest.raises(IllegalAnswer, match="nor sealed"):
        check_answer(plain, push, credentials=SAFE, original_id=ORIGINAL_ID)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda push: b"\nsuccess", "nor sealed"),
        (lambda push: b'{"errcode":0}', "nor sealed"),
        (lambda push: sealed(reply_to(push), token="another"), "no token"),
        (lambda push: sealed(reply_to(push), aes_key="A" * 43), "."),
        (lambda push: sealed(reply_to(push, to_user_name=ORIGINAL_ID)), "exchanged"),
        (lambda push: sealed(reply_to(push, from_user_name=push.openid)), "exchanged"),
        (lambda push: sealed(reply_to(push).replace(f">{START}<", ">now<")), "CreateTime"),
        (lambda push: sealed(reply_to(push).replace("[text]", "[card]")), "MsgType"),
        (lambda push: sealed(reply_to(push).replace("好的 😀", "")), "without Content"),
        (lambda push: sealed(reply_to(push).replace("好的 😀", "好" * 700)), "2048"),
    ],
)
def test_every_other_answer_is_illegal(spoil: Callable[[Push], bytes], reason: str):
    [push] = pushes(1)
    with pytest.raises(IllegalAnswer, match=reason):
        check_answer(spoil(push), push, credentials=SAFE, original_id=ORIGINAL_ID)


# --- Deliveries over HTTP ---


class Server(ThreadingHTTPServer):
    """Answers each request with what `respond(handler, query, body)` writes."""

    daemon_threads = True
    # More connections than Python's five may wait while threads are being started.
    request_queue_size = 64

    def __init__(self, respond: Callable[..., None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.requests: list[tuple[dict[str, list[str]], bytes]] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/wechat/key/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((query, body))
        # The platform hangs up on a server that is late.
        try:
            self.server.respond(self, query, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, body: bytes = b"success", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(respond: Callable[..., None]) -> Iterator[Server]:
    with Server(respond) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class NoPause(threading.Event):
    """Lets one try follow another at once."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def platform(server: Server, deadline: float | None = None, **arguments) -> PushSender:
    """With a deadline, tries begin that many seconds apart; without, no answer is late."""
    made = PushSender(
        server.url, SAFE, original_id=ORIGINAL_ID, deadline=deadline or 120, **arguments
    )
    if deadline is None:
        made._stop = NoPause()
    return made


def delivered(server: Server, count: int = 1, deadline: float | None = None):
    wechat = platform(server, deadline)
    wechat.deliver([Delivery(push, False) for push in pushes(count)])
    return wechat.tally


def test_pushes_are_authentic_and_one_connection_carries_many():
    sent = pushes(20)
    with serving(lambda handler, *_: handler.answer()) as server:
        wechat = platform(server)
        wechat.deliver([Delivery(push, False) for push in sent])
        opened = [open_push(SAFE, query, body).body for query, body in server.requests]
        assert opened == [push.body for push in sent]
        assert server.connections == 1
    tally = wechat.tally
    assert (tally.sent, tally.events, tally.answered, tally.lost) == (20, 20, 20, 0)


def test_a_reply_is_counted_as_an_answer_and_as_a_reply():
    def respond(handler, query, body):
        message = parse_message(open_push(SAFE, query, body).body)
        reply = render(
            TextReply("您好"),
            to_user_name=openid_of(message),
            from_user_name=ORIGINAL_ID,
            create_time=START,
        )
        handler.answer(sealed(reply))

    with serving(respond) as server:
        tally = delivered(server, 5)
    assert (tally.answered, tally.replied, tally.mismatches) == (5, 5, 0)


def test_a_refused_push_is_tried_three_times_freshly_signed_then_lost():
    with serving(lambda handler, *_: handler.answer(b"no", status=503)) as server:
        tally = delivered(server)
        messages = {open_push(SAFE, query, body).body for query, body in server.requests}
        assert len(server.requests) == 3
        assert len({query["msg_signature"][0] for query, _ in server.requests}) == 3
    assert len(messages) == 1
    assert (tally.refused, tally.retried, tally.answered, tally.lost) == (3, 2, 0, 1)


def test_an_illegal_answer_is_a_mismatch_and_tried_again():
    answers = iter([b"<html>", b"success"])
    with serving(lambda handler, *_: handler.answer(next(answers))) as server:
        tally = delivered(server)
    assert (tally.mismatches, tally.retried, tally.answered, tally.lost) == (1, 1, 1, 0)


def test_a_late_answer_times_out_and_the_next_try_begins_a_deadline_later():
    began = []
    tried_again = threading.Event()

    def respond(handler, *_):
        began.append(time.monotonic())
        if len(began) == 1:
            tried_again.wait(60)
        tried_again.set()
        handler.answer()

    with serving(respond) as server:
        # The second try may be late too, where the machine is busy.
        tally = delivered(server, deadline=3 * DEADLINE)
    assert tally.timed_out == tally.retried > 0
    assert (tally.answered, tally.lost) == (1, 0)
    assert began[1] - began[0] >= 2 * DEADLINE


def test_the_deadline_is_for_the_whole_answer_however_it_trickles():
    def respond(handler, *_):
        handler.send_response(200)
        handler.send_header("Content-Length", "7")
        handler.end_headers()
        for letter in b"success":
            handler.wfile.write(bytes([letter]))
            time.sleep(DEADLINE / 3)

    with serving(respond) as server:
        tally = delivered(server, deadline=DEADLINE)
        assert (tally.timed_out, tally.answered, tally.lost) == (3, 0, 1)


def test_an_answer_that_breaks_off_is_none():
    def respond(handler, *_):
        handler.send_response(200)
        handler.send_header("Content-Length", "7")
        handler.end_headers()
        handler.wfile.write(b"succ")
        handler.close_connection = True

    with serving(respond) as server:
        tally = delivered(server)
    assert (tally.unreachable, tally.mismatches, tally.lost) == (3, 0, 1)


def test_nobody_at_the_address_is_unreachable():
    with serving(lambda handler, *_: handler.answer()) as server:
        gone = platform(server)
    gone.deliver([Delivery(push, False) for push in pushes(1)])
    assert (gone.tally.unreachable, gone.tally.lost) == (3, 1)


def test_duplicates_are_deliveries_of_one_push_that_is_acknowledged_once():
    acknowledged: list[Push] = []
    sent = pushes(10)
    with serving(lambda handler, *_: handler.answer()) as server:
        wechat = platform(server, on_acknowledged=acknowledged.append)
        deliveries = [Delivery(push, copy) for push in sent for copy in (False, True)]
        wechat.deliver(deliveries, concurrency=8)
    tally = wechat.tally
    assert (tally.sent, tally.events, tally.answered) == (20, 10, 20)
    assert sorted(map(id, acknowledged)) == sorted(map(id, sent))


def test_as_many_pushes_are_under_way_as_were_asked_for():
    together = threading.Barrier(8)

    def respond(handler, *_):
        together.wait(timeout=120)
        handler.answer()

    with serving(respond) as server:
        wechat = platform(server)
        wechat.deliver([Delivery(push, False) for push in pushes(8)], concurrency=8)
    assert wechat.tally.answered == 8


def test_stopping_ends_endless_traffic_between_two_pushes():
    def traffic() -> Iterator[Delivery]:
        for push in acts(population(), itertools.count(START)):
            if wechat.tally.sent == 30:
                wechat.stop()
            yield Delivery(push, False)

    with serving(lambda handler, *_: handler.answer()) as server:
        wechat = platform(server)
        wechat.deliver(traffic(), concurrency=2)
    assert 30 <= wechat.tally.answered <= 32


def test_a_failure_of_the_traffic_is_not_swallowed():
    def traffic() -> Iterator[Delivery]:
        yield Delivery(pushes(1)[0], False)
        raise LookupError("no more people")

    with serving(lambda handler, *_: handler.answer()) as server:
        wechat = platform(server)
        with pytest.raises(LookupError):
            wechat.deliver(traffic(), concurrency=4)
    assert wechat.tally.answered == 1
