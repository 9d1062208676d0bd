"""The operators' pages of the site itself: users, groups and background tasks."""

from __future__ import annotations

from wechat_site.admin import applications, tasks, users

__all__ = ["applications", "tasks", "users"]
