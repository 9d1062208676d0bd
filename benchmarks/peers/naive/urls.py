"""The addresses of the naive peer."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from naive.views import callback

urlpatterns = [path("admin/", admin.site.urls), path("wechat/", callback)]
