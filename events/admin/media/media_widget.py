"""A select field for a file of the media library, with a preview beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from events.models import MediaFile

__all__ = ["MediaSelect", "address_of_poster", "library"]


def library(account_id: int | None) -> list[MediaFile]:
    """Returns the account's files, newest first."""
    return list(MediaFile.objects.filter(account=account_id))


def address_of_poster(file: MediaFile) -> str:
    """Returns the address of a video's poster; "" for a file without one."""
    return reverse("admin:events_mediafile_poster", args=[file.pk]) if file.poster else ""


class MediaSelect(UnfoldAdminSelectWidget):
    """Chooses a file by its reference. A present value that is a media_id can stay."""

    def __init__(self, files: Iterable[MediaFile], current: str = "", attrs: Any = None) -> None:
        files = list(files)
        self._kinds = {f"library:{file.pk}": file.kind for file in files}
        self._posters = {f"library:{file.pk}": address_of_poster(file) for file in files}
        choices: list[tuple[str, Any]] = [("", _("(none)"))]
        choices += [
            (f"library:{file.pk}", f"{file.title} ({file.get_kind_display()})") for file in files
        ]
        if current and current not in self._kinds:
            choices.append((current, current))
        address = reverse("admin:events_mediafile_file", args=[0])
        shown = {"data-media": address, "data-plain-poster": static("wechat_site/video.svg")}
        super().__init__(attrs={**(attrs or {}), **shown}, choices=choices)

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option: dict[str, Any] = super().create_option(name, value, *args, **kwargs)
        if kind := self._kinds.get(str(value)):
            option["attrs"]["data-kind"] = kind
        if poster := self._posters.get(str(value)):
            option["attrs"]["data-poster"] = poster
        return option
