"""The pages of a site user about their own WeChat."""

from __future__ import annotations

from django.urls import path

from wechat_site.embedding.framed_page import embedded_binding
from wechat_site.live.views import progress
from wechat_site.me import views

urlpatterns = [
    path("wechat/", views.accounts, name="my_wechat_accounts"),
    path("embedded/<str:token>/", embedded_binding, name="embedded_binding"),
    path("wechat-progress/<str:ticket>/", progress, name="my_wechat_progress"),
    path("wechat-code/<int:pk>.png", views.picture, name="my_wechat_picture"),
    path("wechat/<slug:slug>/", views.Page.as_view(), name="my_wechat"),
    path("wechat/<slug:slug>/end/", views.End.as_view(), name="my_wechat_end"),
]
