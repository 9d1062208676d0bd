from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from wechat_site import views

urlpatterns = [
    path("wechat/", include("events.urls")),
    path("admin/", admin.site.urls),
    path("healthz", views.alive),
    path("readyz", views.ready),
    path("metrics", views.metrics),
]
