"""The tables of accounts, events, menus, jobs and tasks."""

from __future__ import annotations

from events.models.access import AccountLimit, Role
from events.models.access_token import SharedAccessToken
from events.models.account import ACCOUNT_SECRETS, OfficialAccount, with_account
from events.models.alert import Alert, AlertChannel, AlertMessage
from events.models.api_key import ApiKey
from events.models.audit_entry import AuditEntry, AuditRemoval
from events.models.body_retention import BodyRetention
from events.models.event_log import EventLog
from events.models.examination import LastExamination
from events.models.idempotent_request import IdempotentRequest
from events.models.judgement import PendingJudgement
from events.models.menu import LiveMenu, MenuVersion
from events.models.message_text import EventToIndex, MessageText
from events.models.pruned_month import PrunedMonth
from events.models.refusal import CallbackRefusal
from events.models.reply_rule import ReplyRule, RuleHit, RuleVersion
from events.models.roll_ups import (
    AccountStatistics,
    HealthCount,
    LastSeen,
    OpenEvent,
    PeriodCount,
    Series,
    StatisticsProgress,
    UnansweredEvent,
)
from events.models.row_change import RowChange
from events.models.task_run import TaskRun

__all__ = [
    "ACCOUNT_SECRETS",
    "AccountLimit",
    "AccountStatistics",
    "Alert",
    "AlertChannel",
    "AlertMessage",
    "ApiKey",
    "AuditEntry",
    "AuditRemoval",
    "BodyRetention",
    "CallbackRefusal",
    "EventLog",
    "EventToIndex",
    "HealthCount",
    "IdempotentRequest",
    "LastExamination",
    "LastSeen",
    "LiveMenu",
    "MenuVersion",
    "MessageText",
    "OfficialAccount",
    "OpenEvent",
    "PendingJudgement",
    "PeriodCount",
    "PrunedMonth",
    "ReplyRule",
    "Role",
    "RowChange",
    "RuleHit",
    "RuleVersion",
    "Series",
    "SharedAccessToken",
    "StatisticsProgress",
    "TaskRun",
    "UnansweredEvent",
    "with_account",
]
