"""Takes over the replies that were set in WeChat's console, as rules of the draft."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from events.models import OfficialAccount, ReplyRule
from events.platform.client import client_for
from events.rules.check import problems
from events.rules.data import Answer, AnswerKind, Choice, How, MessageKind, On, Rule, Trigger
from events.wechat.api.auto_replies import ConsoleReplies, ConsoleReply

__all__ = ["rules_of_console", "take_over"]


def take_over(account: OfficialAccount) -> list[Rule]:
    """Asks WeChat, and adds what the draft has not; returns the new rules. Raises APIError.

    A rule with a mistake, such as a text that is too long, is added switched off.
    """
    found = client_for(account).auto_replies.current()
    with transaction.atomic():
        rows = ReplyRule.objects.filter(account=account)
        known = [(row.rule.trigger, row.rule.answers) for row in rows]
        position = rows.aggregate(last=Max("position"))["last"] or 0
        added = []
        for rule in rules_of_console(found):
            if (rule.trigger, rule.answers) in known:
                continue
            position += 1
            row = ReplyRule(account=account, position=position)
            row.take(rule)
            row.is_active = not problems(rule)
            row.save()
            added.append(row.rule)
    return added


def rules_of_console(found: ConsoleReplies) -> Iterator[Rule]:
    """The same as rules: keywords first, as the console does it."""
    for keywords in found.keywords:
        answers = tuple(_answer(reply) for reply in keywords.replies)
        choice = Choice.ONE if keywords.is_one_at_random else Choice.ALL
        for how, words in (
            (How.EQUAL, keywords.equal),
            (How.CONTAINS_ANY, keywords.contained),
        ):
            if words:
                trigger = Trigger(On.MESSAGE, kind=MessageKind.TEXT, how=how, words=words)
                yield Rule(0, keywords.name[:100], trigger, answers=answers, choice=choice)
    if found.follow is not None:
        name = _("Welcome of the console")
        yield Rule(0, name, Trigger(On.FOLLOW), answers=(_answer(found.follow),))
    if found.default is not None:
        name = _("Default of the console")
        yield Rule(0, name, Trigger(On.OTHER), answers=(_answer(found.default),))


def _answer(reply: ConsoleReply) -> Answer:
    match reply.type:
        case "img":
            return Answer(AnswerKind.IMAGE, media_id=reply.content)
        case "voice":
            return Answer(AnswerKind.VOICE, media_id=reply.content)
        case "news":
            return Answer(
                AnswerKind.NEWS,
                title=reply.title,
                description=reply.digest,
                url=reply.content_url,
                pic_url=reply.cover_url,
            )
        case _:
            # Of a video the console tells an address, which a text can carry.
            return Answer(AnswerKind.TEXT, content=reply.content)
