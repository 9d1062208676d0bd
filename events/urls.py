"""The callback's addresses."""

from __future__ import annotations

from django.urls import path, re_path

from events.callback import views

app_name = "events"
urlpatterns = [
    path("<str:callback_key>/", views.callback, name="callback"),
    # WeChat follows no redirect, so the address without the slash must answer too.
    re_path(r"^(?P<callback_key>[^/]+)$", views.callback),
]
