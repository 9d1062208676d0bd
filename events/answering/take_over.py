"""Takes over the replies that operators set in WeChat's console, as rules of the draft."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils.translation import gettext as _

from events.answering.publish_rules import add_to_draft, draft_of
from events.media.file_kind import Unusable
from events.media.lend import add_file, reference
from events.models import OfficialAccount
from events.platform.client import client_for
from events.rules.check import problems
from events.rules.data import Answer, AnswerChoice, AnswerKind, How, MessageKind, On, Rule, Trigger
from events.wechat.api import APIError
from events.wechat.api.auto_replies import ConsoleReplies, ConsoleReply
from events.wechat.api.media import LIMITS

__all__ = ["Candidate", "add_rules", "candidates", "new_rules", "rules_of_console", "take_over"]

_LARGEST = max(LIMITS.values())
_FILES = {AnswerKind.IMAGE, AnswerKind.VOICE}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule that can be taken over, and the parts of the console's reply that are lost."""

    rule: Rule
    is_known: bool
    losses: tuple[str, ...]


def take_over(account: OfficialAccount) -> list[Rule]:
    """Asks WeChat, and adds the rules that the draft lacks; returns them. Raises APIError.

    It switches a rule off if it has a mistake, such as a text that is too long.
    """
    found = client_for(account).auto_replies.current()
    return add_rules(account, new_rules(account, list(rules_of_console(found))))


def candidates(account: OfficialAccount, rules: Sequence[Rule]) -> list[Candidate]:
    """Returns for each rule whether the draft has it, and what it loses."""
    known = _identities_in_draft(account)
    return [
        Candidate(rule, _identity(rule) in known, tuple(dict.fromkeys(_losses(rule))))
        for rule in rules
    ]


def new_rules(account: OfficialAccount, rules: Sequence[Rule]) -> list[Rule]:
    """Returns the rules that the draft lacks, with copies of WeChat's files in the library.

    It asks WeChat for the files: call it outside a transaction.
    """
    known = _identities_in_draft(account)
    return [_with_own_files(account, rule) for rule in rules if _identity(rule) not in known]


def add_rules(account: OfficialAccount, rules: Sequence[Rule]) -> list[Rule]:
    """Adds the rules to the draft, those with mistakes switched off; returns them."""
    with transaction.atomic():
        return [
            add_to_draft(account.pk, replace(rule, is_on=not problems(rule))).rule for rule in rules
        ]


def rules_of_console(found: ConsoleReplies) -> Iterator[Rule]:
    """Yields the console's replies as rules: keywords first, as the console tries them."""
    for keywords in found.keywords:
        answers = tuple(_answer(reply) for reply in keywords.replies)
        choice = AnswerChoice.ONE if keywords.is_one_at_random else AnswerChoice.ALL
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


def _identities_in_draft(account: OfficialAccount) -> list[object]:
    return [_identity(rule) for rule in draft_of(account.pk)]


def _identity(rule: Rule) -> object:
    """Returns what equal rules have in common, without media ids: our copy has another id."""
    said = tuple(
        replace(answer, media_id="") if answer.kind in _FILES else answer for answer in rule.answers
    )
    return rule.trigger, said


def _losses(rule: Rule) -> Iterator[str]:
    if problems(rule):
        yield _("It has a mistake here, and is added switched off.")
    for answer in rule.answers:
        if answer.kind in _FILES:
            yield _("The file is fetched from WeChat, as long as WeChat has it.")
        if answer.kind is AnswerKind.TEXT and answer.content.startswith(("http://", "https://")):
            yield _(
                "An address: of a video WeChat tells nothing else, and it ends after some hours."
            )
        if answer.kind is AnswerKind.NEWS:
            yield _("Of several articles the first is taken.")


def _with_own_files(account: OfficialAccount, rule: Rule) -> Rule:
    answers = tuple(
        replace(answer, media_id=_copied_to_library(account, rule.name, answer.media_id))
        if answer.kind in _FILES
        else answer
        for answer in rule.answers
    )
    return replace(rule, answers=answers)


def _copied_to_library(account: OfficialAccount, title: str, media_id: str) -> str:
    """Copies WeChat's file into the library, and returns the reference to the copy.

    Returns `media_id` itself if WeChat no longer has the file, or if it cannot be used.
    """
    try:
        content = client_for(account).media.get(media_id, most=_LARGEST).data
        return reference(add_file(account, title, content, by=None).pk)
    except (APIError, Unusable):
        return media_id


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
            # For a video the console gives only an address, so send that as a text.
            return Answer(AnswerKind.TEXT, content=reply.content)
