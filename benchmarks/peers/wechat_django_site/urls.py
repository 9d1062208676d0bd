"""The addresses of the peer with wechat-django."""

from __future__ import annotations

import wechat_django
from django.contrib import admin
from django.urls import path, re_path

urlpatterns = [
    path("admin/", admin.site.urls),
    re_path(r"^wechat/", wechat_django.sites.wechat.urls),
]
