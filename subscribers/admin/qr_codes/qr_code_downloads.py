"""Downloads of QR codes: a picture for print, one in any size, and a ZIP archive of many."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from events.admin.base import ModelAdmin
from events.viewer import visible_to
from subscribers.models import QRScene
from subscribers.models.qr_code import QRSceneQuerySet
from subscribers.qr_codes.images import png, svg
from subscribers.qr_codes.logo import logo_of
from subscribers.qr_codes.sheet import MOST, sheet
from subscribers.qr_codes.zip import archive, file_name

__all__ = ["WithDownloads", "bare"]


class WithDownloads(ModelAdmin):
    """The part of the QR codes' admin that serves pictures."""

    def get_urls(self) -> list[Any]:
        views = [("png", self.png_view), ("svg", self.svg_view)]
        return [
            path(
                f"<int:pk>/{name}/",
                self.admin_site.admin_view(view),
                name=f"subscribers_qrscene_{name}",
            )
            for name, view in views
        ] + super().get_urls()

    def png_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The picture for print."""
        scene = self._drawable(request, pk)
        return _download(
            png(scene.url, scene.name, logo_of(scene)), "image/png", file_name(scene, set())
        )

    def svg_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The picture in any size."""
        scene = self._drawable(request, pk)
        name = file_name(scene, set(), ".svg")
        return _download(svg(scene.url, logo_of(scene)).encode(), "image/svg+xml", name)

    def _drawable(self, request: HttpRequest, pk: int) -> QRScene:
        if not self.has_view_permission(request):
            raise PermissionDenied
        scene = get_object_or_404(visible_to(request.user, QRScene.objects.all()), pk=pk)
        if not scene.has_valid_code:
            raise Http404
        return scene

    @action(description=_("Download as ZIP"), permissions=["view"])
    def download_archive(
        self, request: HttpRequest, queryset: QRSceneQuerySet
    ) -> StreamingHttpResponse | None:
        chosen = bare(queryset)
        if not chosen.with_valid_code(timezone.now()).exists():
            messages.error(request, _("None of these codes has a picture that can be scanned."))
            return None
        ids = list(chosen.order_by("pk").values_list("pk", flat=True))
        response = StreamingHttpResponse(archive(ids), content_type="application/zip")
        response["Content-Disposition"] = 'attachment; filename="qr-codes.zip"'
        return response

    @action(description=_("A4 sheets for print (PDF)"), permissions=["view"])
    def download_sheet(
        self, request: HttpRequest, queryset: QRSceneQuerySet
    ) -> HttpResponse | None:
        codes = bare(queryset).with_valid_code(timezone.now()).select_related("logo")
        chosen = list(codes.order_by("group", "name", "pk")[: MOST + 1])
        if not chosen:
            messages.error(request, _("None of these codes has a picture that can be scanned."))
            return None
        if len(chosen) > MOST:
            messages.error(request, _("Choose 600 codes at most."))
            return None
        return _download(sheet(chosen), "application/pdf", "qr-codes.pdf")


def bare(scenes: QRSceneQuerySet) -> QRSceneQuerySet:
    """The same rows, without the numbers that the list adds to them."""
    return QRScene.objects.filter(pk__in=scenes.order_by().values("pk"))


def _download(content: bytes, content_type: str, name: str) -> HttpResponse:
    disposition = f"attachment; filename*=utf-8''{quote(name)}"
    return HttpResponse(
        content, content_type=content_type, headers={"Content-Disposition": disposition}
    )
