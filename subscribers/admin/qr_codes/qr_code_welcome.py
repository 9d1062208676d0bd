"""The welcome of a code, edited on the code's page: a rule of the account's draft."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from events.admin.base import ModelAdmin
from events.admin.rules.state import names_of, page_of_rules
from events.answering.publish_rules import NotPossible, draft_of, publish
from events.answering.rule_words import answers_in_words, conditions_in_words, trigger_in_words
from events.audit.record import record
from events.rules.data import On, Rule
from events.viewer import may
from subscribers.campaigns.welcome import Welcome, welcome_of, write_welcome
from subscribers.models import QRScene

__all__ = ["WithWelcome"]

_WRITE = ("add", "change", "delete")


class WithWelcome(ModelAdmin):
    """The part of the QR codes' admin that edits the answer to a code's followers."""

    def welcome_fields(self, request: HttpRequest, scene: QRScene) -> list[str]:
        """The fields that the page shows; none to users who may not see reply rules.

        A rule with more than one text has its own page.
        """
        user: Any = request.user
        if not user.has_perm("events.view_replyrule"):
            return []
        may_write = self.has_change_permission(request, scene) and all(
            user.has_perm(f"events.{act}_replyrule") for act in _WRITE
        )
        if not may_write or welcome_of(scene).text is None:
            return ["welcome"]
        may_publish = user.has_perm("events.publish_rules")
        return ["welcome_text", *(["publish_welcome"] if may_publish else []), "welcome"]

    @display(description=_("what answers"))
    def welcome(self, scene: QRScene) -> str:
        """The rules that answer a follow by this code or a scan of it, and which of them wins."""
        found = welcome_of(scene)
        rules = draft_of(scene.account_id)
        numbers = {rule.id: number for number, rule in enumerate(rules, start=1)}
        names = names_of(scene.account_id)

        def shown(rule: Rule) -> dict[str, Any]:
            conditions = conditions_in_words(rule.conditions, names)
            return {
                "pk": rule.id,
                "number": numbers[rule.id],
                "name": rule.name,
                "is_on": rule.is_on,
                "when": gettext("; ").join([trigger_in_words(rule.trigger, names), *conditions]),
                "answers": answers_in_words(rule),
            }

        told = {found.own, *found.above}
        return render_to_string(
            "admin/subscribers/qrscene/welcome.html",
            {
                "scene": scene,
                "own": shown(found.own) if found.own else None,
                "above": [shown(rule) for rule in found.above],
                "beats": shown(found.beats) if found.beats else None,
                "is_live": found.is_live,
                "others": [
                    shown(rule)
                    for rule in rules
                    if rule not in told
                    and rule.trigger.on in {On.FOLLOW, On.SCAN}
                    and scene.scene in rule.trigger.keys
                ],
                "page_of_rules": page_of_rules(scene.account),
                "may_write_rules": may("events.add_replyrule"),
            },
        )

    def save_welcome(self, request: HttpRequest, form: Any) -> None:
        """Saves the welcome to the draft; publishes it if the draft has no other changes."""
        scene: QRScene = form.instance
        wanted = form.cleaned_data
        shown = self.welcome_fields(request, scene)
        if "welcome_text" not in shown or form.add_prefix("welcome_text") not in form.data:
            return
        if "welcome_text" in form.changed_data:
            write_welcome(scene, wanted["welcome_text"])
        if "publish_welcome" in shown and wanted.get("publish_welcome"):
            self._publish(request, scene, welcome_of(scene))
        elif "welcome_text" in form.changed_data:
            messages.info(
                request, _("The welcome is saved as a draft: publish it with the reply rules.")
            )

    def _publish(self, request: HttpRequest, scene: QRScene, welcome: Welcome) -> None:
        if not welcome.is_alone:
            messages.warning(
                request,
                _(
                    "The welcome is saved and not published: other changes of the reply rules "
                    "wait too. Look at them and publish all on the page of the reply rules."
                ),
            )
            return
        note = gettext("Welcome of the QR code “%s”") % scene.name
        try:
            version = publish(scene.account_id, user=request.user, note=note)
        except NotPossible as reason:
            messages.warning(request, str(reason))
            return
        record("publish_rules", version, name=str(version))
        messages.success(request, gettext("Version %s answers followers from now on.") % version)
