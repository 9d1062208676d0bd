"""What followers' state and message windows read from the table of kinds, written out again."""

from __future__ import annotations

import pytest

from events.kinds import Effect
from events.stats.series import MESSAGE_KINDS
from subscribers.fold.rules import STATE_KINDS, kinds_of
from subscribers.messages import window

EFFECTS = {
    "FOLLOW": """
        event.subscribe
    """,
    "UNFOLLOW": """
        event.unsubscribe
    """,
    "FOUND_FOLLOWING": """
        import.follower reconcile.follow
    """,
    "FOUND_GONE": """
        reconcile.unfollow
    """,
    "SEEN": """
        event.scan event.click event.view event.view_miniprogram event.scancode_push
        event.scancode_waitmsg event.pic_sysphoto event.pic_photo_or_album
        event.pic_weixin event.location_select event.location text image voice video
        shortvideo location link file miniprogrampage
    """,
    "ACTIVITY": """
        event.user_get_card event.user_gifting_card event.user_del_card
        event.user_consume_card event.user_pay_from_pay_cell event.user_view_card
        event.user_enter_session_from_card event.update_member_card
        event.submit_membercard_user_info event.giftcard_pay_done
        event.giftcard_send_to_friend event.giftcard_user_accept
        event.subscribe_msg_popup_event event.subscribe_msg_change_event
        event.subscribe_msg_sent_event event.kf_create_session event.kf_close_session
        event.kf_switch_session
    """,
}
WINDOWS = {
    "message": """
        text image voice video shortvideo location link file miniprogrampage
    """,
    "menu": """
        event.click event.scancode_push event.scancode_waitmsg
    """,
    "follow": """
        event.subscribe
    """,
    "scan": """
        event.scan
    """,
}


@pytest.mark.parametrize("effect", list(Effect))
def test_what_an_event_says_about_a_follower(effect):
    assert sorted(kinds_of(effect)) == sorted(EFFECTS[effect.name].split())


def test_all_other_kinds_say_nothing_about_a_follower():
    assert sorted(STATE_KINDS) == sorted(" ".join(EFFECTS.values()).split())


def test_which_window_an_event_opens():
    expected = {kind: act for act, kinds in WINDOWS.items() for kind in kinds.split()}
    assert expected == window._ACT_OF
    assert set(window.ACT_KINDS) == set(expected)
    assert set(window.ACTS) == set(WINDOWS)
    assert sorted(MESSAGE_KINDS) == sorted(WINDOWS["message"].split())
