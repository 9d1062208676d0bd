"""The tables of accounts, events, menus, jobs and tasks."""

from __future__ import annotations

from events.models.account import ACCOUNT_SECRETS, OfficialAccount, with_account
from events.models.alert import Alert, AlertChannel, AlertMessage
from events.models.alert_limits import AlertLimits
from events.models.event_log import EventLog
from events.models.event_log.body_retention import BodyRetention
from events.models.event_log.message_text import EventToIndex, MessageText
from events.models.event_log.pruned_month import PrunedMonth
from events.models.event_log.refusal import CallbackRefusal
from events.models.media_file import MediaFile, private_files, remove_with_files
from events.models.menu import LiveMenu, MenuVersion
from events.models.people.account_access import AccountLimit, Role
from events.models.people.api_key import ApiKey
from events.models.people.audit_entry import AuditEntry, AuditRemoval
from events.models.people.idempotent_request import IdempotentRequest
from events.models.platform.access_token import SharedAccessToken
from events.models.platform.account_rights import AccountRights
from events.models.platform.examination import LastExamination
from events.models.platform.js_ticket import SharedJsTicket
from events.models.reply_rule import ReplyRule, RuleHit, RuleVersion
from events.models.row_change import RowChange
from events.models.signing_key import SigningKey
from events.models.stats.judgement import PendingJudgement
from events.models.stats.roll_ups import (
    AccountStatistics,
    HealthCount,
    LastSeen,
    OpenEvent,
    PeriodCount,
    Series,
    StatisticsProgress,
    UnansweredEvent,
    UnmatchedDay,
)
from events.models.task_run import TaskRun

__all__ = [
    "ACCOUNT_SECRETS",
    "AccountLimit",
    "AccountRights",
    "AccountStatistics",
    "Alert",
    "AlertChannel",
    "AlertLimits",
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
    "MediaFile",
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
    "SharedJsTicket",
    "SigningKey",
    "StatisticsProgress",
    "TaskRun",
    "UnansweredEvent",
    "UnmatchedDay",
    "private_files",
    "remove_with_files",
    "with_account",
]
