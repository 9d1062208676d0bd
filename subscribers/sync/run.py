"""One run of a follower sync, from WeChat's list to the last question.

First the run asks WeChat about some of our followers: if WeChat knows none of them, the AppID
belongs to another account. Then it reads WeChat's list (`read_list`). At last it asks WeChat about
our followers who were not on the list (`unlisted`).

Live traffic goes on meanwhile. A run stores observations with their time (`observations`), so what
is later wins, whether it arrives before, between or after them.
"""

from __future__ import annotations

from events.jobs.run import GaveUp
from subscribers.models import FollowerSync, Subscriber
from subscribers.models.followers.follower_sync import WRONG_ACCOUNT
from subscribers.sync.observations import second
from subscribers.sync.read_list import ListReader
from subscribers.sync.turn import OutOfTime, Turn
from subscribers.sync.unlisted import UnlistedFollowers

__all__ = ["continue_run"]

# How many of our followers WeChat is asked about first; it must know at least one of them. An
# account with fewer followers is not checked.
_SAMPLE = 20


def continue_run(turn: Turn) -> None:
    """Continues a claimed run to its end, or until the turn's time is over."""
    sync = turn.sync
    try:
        _compare(turn)
    except OutOfTime:
        FollowerSync.objects.release(sync, turn.now())
        return
    done = FollowerSync.objects.finish(
        sync, state=FollowerSync.State.FINISHED, finished_at=turn.now()
    )
    if done:
        sync.refresh_from_db()
        turn.tell(sync)


def _compare(turn: Turn) -> None:
    turn.check_that_account_is_active()
    if turn.sync.started_at is None:
        _check_that_ours_are_known(turn)
        turn.note(started_at=second(turn.now()))
    if turn.sync.state == FollowerSync.State.LISTING:
        ListReader(turn).read()
    UnlistedFollowers(turn).ask_about_all()


def _check_that_ours_are_known(turn: Turn) -> None:
    """Gives up if the AppID is wrong, before the run imports another account's followers."""
    ours = Subscriber.objects.filter(
        account=turn.account, is_following=True, erased_at=None
    ).order_by("-pk")
    newest = list(ours.values_list("openid", flat=True)[:_SAMPLE])
    if len(newest) == _SAMPLE and not turn.users.infos(newest).found:
        raise GaveUp(WRONG_ACCOUNT)
