"""A Django view that only answers: no signature, no database, no middleware."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none", MIDDLEWARE=[])


def callback(request: HttpRequest) -> HttpResponse:
    return HttpResponse("success", content_type="text/plain")


urlpatterns = [path("wechat/", callback)]
application = get_wsgi_application()
