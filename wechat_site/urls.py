"""The addresses of the site."""

from __future__ import annotations

from allauth.account.views import logout as account_logout
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from wechat_site import api
from wechat_site.admin.dashboard import download
from wechat_site.monitoring import health
from wechat_site.signin.views import admin_login

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("wechat/", include("events.urls")),
    path("account/", include("wechat_site.signin.urls")),
    path("me/", include("wechat_site.me.urls")),
    path("openid/", include("wechat_site.openid.urls")),
    path("admin/login/", admin_login),
    path("admin/logout/", account_logout),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/dashboard.csv", admin.site.admin_view(download), name="dashboard_download"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include(api.urlpatterns)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", health.metrics),
]
