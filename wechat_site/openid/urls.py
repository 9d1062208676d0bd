"""The addresses of OpenID Connect that this site offers; django-allauth's others are left out."""

from __future__ import annotations

from allauth.idp.oidc import views as allauth_views
from django.urls import include, path

from wechat_site.openid.views import applications, authorization, configuration, if_on, token

# django-allauth looks up its pages by these two namespaces.
_oidc = [
    path(".well-known/openid-configuration", if_on(configuration), name="configuration"),
    path(".well-known/jwks.json", if_on(allauth_views.jwks), name="jwks"),
    path("authorize", if_on(authorization), name="authorization"),
    path("token", if_on(token), name="token"),
    path("userinfo", if_on(allauth_views.user_info), name="userinfo"),
    path("revoke", if_on(allauth_views.revoke), name="revoke"),
]
_idp = [path("", include((_oidc, "oidc")))]

urlpatterns = [
    path("applications/", if_on(applications), name="my_applications"),
    path("", include((_idp, "idp"))),
]
