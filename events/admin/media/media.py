"""The media library: pictures, voice and video for rules and messages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.urls import path
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from events.admin.access import AccountModelAdmin
from events.admin.hindered import NeedsRight
from events.admin.html import moment
from events.admin.list_filters import AccountFilter
from events.admin.media.media_widget import address_of_poster
from events.admin.media.private_file import private_file
from events.media.file_kind import FileMistake, Unusable, look_at
from events.media.lend import add_file, remove_file, used_in_rules
from events.media.poster import prepared_poster, set_poster
from events.media.uploaded_picture import LARGEST, NoPicture
from events.models import MediaFile
from events.platform.failures import EXPLANATIONS
from events.viewer import visible_to
from events.wechat.api.media import LIMITS

__all__ = ["MISTAKES", "MediaFileAdmin"]

MISTAKES = {
    FileMistake.UNKNOWN: _(
        "WeChat takes pictures (JPG, PNG, GIF), voice (AMR, MP3) and video (MP4); this is none."
    ),
    FileMistake.LARGE: _("WeChat takes pictures and video of up to 10 MB, voice of up to 2 MB."),
    FileMistake.LONG: _("WeChat takes voice of up to 60 seconds."),
}


class PosterForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a video that is in the library: its title and its poster."""

    new_poster = forms.FileField(
        label=_("Poster of the video"),
        required=False,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/jpeg,image/png,image/gif"}),
        help_text=_(
            "The picture that stands for a video until it is played: JPG, PNG or GIF of up to "
            "2 MB. WeChat asks for one beside a video that is sent as a message."
        ),
    )

    class Meta:
        model = MediaFile
        fields = ["title"]

    def clean_new_poster(self) -> bytes:
        upload = self.cleaned_data["new_poster"]
        if upload is None:
            return b""
        try:
            # One byte over the limit is enough to refuse a larger file.
            return prepared_poster(upload.read(LARGEST + 1))
        except NoPicture:
            raise forms.ValidationError(
                _("This is no JPG, PNG or GIF of up to 2 MB and 4096 × 4096 pixels.")
            ) from None


class MediaFileForm(PosterForm):
    """The form of a new file."""

    upload = forms.FileField(
        label=capfirst(_("file")),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "image/*,audio/*,video/mp4,.amr"}),
        help_text=_(
            "A picture (JPG, PNG, GIF) or video (MP4) of up to 10 MB, or voice (AMR, MP3) of up "
            "to 2 MB and 60 seconds."
        ),
    )

    class Meta:
        model = MediaFile
        fields = ["account", "title"]

    def clean_upload(self) -> bytes:
        upload = self.cleaned_data["upload"]
        if upload.size > max(LIMITS.values()):
            raise forms.ValidationError(MISTAKES[FileMistake.LARGE])
        content: bytes = upload.read()
        try:
            look_at(content)
        except Unusable as error:
            raise forms.ValidationError(MISTAKES[error.mistake]) from None
        return content

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        upload = cleaned.get("upload")
        if upload and cleaned.get("new_poster") and look_at(upload).kind != MediaFile.Kind.VIDEO:
            self.add_error("new_poster", _("Only a video has a poster."))
        return cleaned


@admin.register(MediaFile)
class MediaFileAdmin(NeedsRight, AccountModelAdmin):
    form = MediaFileForm
    needs_right = "/cgi-bin/media/upload"
    acts_of_right = ("send_now",)
    list_display = ["preview", "title", "kind", "shown_size", "created", "state", "account"]
    list_display_links = ["title"]
    list_filter = [AccountFilter, "kind"]
    search_fields = ["title"]
    actions = ["send_now"]
    readonly_fields = ["preview", "kind", "shown_size", "created", "shown_state"]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/file/", view(self.file_view), name="events_mediafile_file"),
            path("<int:pk>/poster/", view(self.poster_view), name="events_mediafile_poster"),
            *super().get_urls(),
        ]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fields: list[Any] = ["account", "title", "upload", "new_poster"]
        if obj is not None:
            fields = ["title", "preview", ("kind", "shown_size"), ("created", "shown_state")]
            fields.append("account")
            if obj.kind == MediaFile.Kind.VIDEO and self.has_change_permission(request, obj):
                fields.insert(2, "new_poster")
        return [(None, {"fields": fields})]

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        if obj is not None:
            # A row's file never changes, so that sent messages still show the right file.
            is_video = obj.kind == MediaFile.Kind.VIDEO
            kwargs["form"] = PosterForm if is_video else forms.ModelForm
        kwargs["fields"] = ["title"] if obj is not None else ["account", "title"]
        return super().get_form(request, obj, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields if obj is None else [*self.readonly_fields, "account"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
        else:
            content = form.cleaned_data["upload"]
            added = add_file(obj.account, obj.title, content, by=request.user)
            obj.__dict__.update(added.__dict__)
        if jpeg := form.cleaned_data.get("new_poster"):
            set_poster(obj, jpeg)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.pk in used_in_rules(obj.account).get(obj.account_id, ()):
            return False
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        remove_file(obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for file in queryset:
            remove_file(file)

    def file_view(self, request: HttpRequest, pk: int) -> FileResponse:
        """Sends the file itself to users who may see the library."""
        file = self._visible(request, pk)
        return private_file(file.path, file.content_type)

    def poster_view(self, request: HttpRequest, pk: int) -> FileResponse:
        """Sends the poster of a video in the same way."""
        return private_file(self._visible(request, pk).poster.name or "")

    def _visible(self, request: HttpRequest, pk: int) -> MediaFile:
        if not self.has_view_permission(request):
            raise PermissionDenied
        file = visible_to(request.user, MediaFile.objects.all()).filter(pk=pk).first()
        if file is None:
            raise Http404
        return file

    @display(description=_("preview"))
    def preview(self, file: MediaFile) -> str:
        context = {"pk": file.pk, "kind": file.kind, "title": file.title}
        context["poster"] = address_of_poster(file)
        return render_to_string("admin/events/mediafile/preview.html", context)

    @display(description=_("size"))
    def shown_size(self, file: MediaFile) -> str:
        return filesizeformat(file.size)

    @display(description=_("created"))
    def created(self, file: MediaFile) -> str:
        return moment(file.created_at, file.account)

    @display(
        description=_("at WeChat"),
        label={"there": "success", "waiting": "info", "not": "info", "failed": "danger"},
    )
    def state(self, file: MediaFile) -> tuple[str, str]:
        if file.due_at is not None:
            return "waiting", str(_("being sent"))
        if file.failure:
            return "failed", str(EXPLANATIONS.get(file.failure, file.failure))
        if file.id_at_wechat(timezone.now()):
            return "there", str(_("at WeChat"))
        return "not", str(_("sent when needed"))

    @display(description=_("at WeChat"))
    def shown_state(self, file: MediaFile) -> str:
        return self.state(file)[1]

    def has_send_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.change_mediafile")

    @action(description=_("Send to WeChat now"), permissions=["send"])
    def send_now(self, request: HttpRequest, queryset: Any) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        MediaFile.objects.filter(pk__in=chosen).update(due_at=timezone.now(), attempts=0)
        messages.info(request, _("The worker sends these files to WeChat."))
