"""The texts of empty lists in the admin: what will be listed there, and what to do for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

__all__ = ["EMPTY_LISTS", "EmptyList", "Step"]


@dataclass(frozen=True)
class Step:
    """A link to a page that fills the list, for users who have the right."""

    words: StrOrPromise
    page: str
    right: str


@dataclass(frozen=True)
class EmptyList:
    """A sentence, and links beside the button that adds a row."""

    sentence: StrOrPromise
    steps: tuple[Step, ...] = ()


_FOLLOWERS = Step(
    _("Go to the followers"),
    "subscribers_subscriber_changelist",
    "subscribers.view_subscriber",
)
_INBOX = Step(
    _("Go to the inbox"),
    "subscribers_conversation_changelist",
    "subscribers.view_conversation",
)
_ACCOUNTS = Step(
    _("Go to the Official Accounts"),
    "events_officialaccount_changelist",
    "events.view_officialaccount",
)
_CHANNEL = Step(_("Add an alert channel"), "events_alertchannel_add", "events.add_alertchannel")
_BINDING = Step(
    _("Bind a user"), "subscribers_bindingrequest_add", "subscribers.add_bindingrequest"
)
_WEBHOOK = Step(
    _("Add a webhook"), "subscribers_webhookendpoint_add", "subscribers.add_webhookendpoint"
)

# The texts by the label of the model.
EMPTY_LISTS = {
    "events.eventlog": EmptyList(
        _(
            "Everything that WeChat pushes is listed here: follows, messages, menu taps, scans. "
            "Nothing comes before the account's callback URL is entered in WeChat's console; the "
            "account's page shows it."
        ),
        (_ACCOUNTS,),
    ),
    "events.messagetext": EmptyList(
        _(
            "Here you search what followers wrote and were answered, from some seconds after it was"
            " said."
        ),
        (_INBOX,),
    ),
    "events.ruleversion": EmptyList(
        _("Each publication of reply rules is listed here, and can be published again."),
        (
            Step(
                _("Go to the reply rules"),
                "events_replyrule_changelist",
                "events.view_replyrule",
            ),
        ),
    ),
    "events.mediafile": EmptyList(
        _(
            "Pictures, voice and video that reply rules, messages and the inbox send are listed "
            "here."
        )
    ),
    "events.menuversion": EmptyList(
        _(
            "Each menu that you write is listed here; followers see it when it is published. The "
            "menu of WeChat's console can be taken over."
        ),
        (Step(_("Import a menu"), "events_menuversion_import", "events.add_menuversion"),),
    ),
    "events.livemenu": EmptyList(
        _("What followers of each account see is listed here as soon as a menu was published."),
        (Step(_("Go to the menus"), "events_menuversion_changelist", "events.view_menuversion"),),
    ),
    "events.officialaccount": EmptyList(
        _(
            "Add your Official Account with the values from WeChat's console. Its page then says "
            "what to enter there."
        )
    ),
    "events.apikey": EmptyList(
        _("With an API key another program of yours reads what this site knows, or writes to it.")
    ),
    "events.auditentry": EmptyList(_("What users and API keys do is listed here.")),
    "events.alert": EmptyList(
        _(
            "Nothing has gone wrong so far. Trouble, such as a silent account or a failed event, is"
            " listed here and told through the alert channels."
        ),
        (_CHANNEL,),
    ),
    "events.alertchannel": EmptyList(
        _(
            "A channel tells you when something goes wrong: by e-mail, 企业微信, 钉钉, 飞书, "
            "Slack or a webhook."
        )
    ),
    "events.alertlimits": EmptyList(
        _(
            "Alerts begin at the limits that came with this site, such as how long a queue may "
            "stand still. Add your own, for the site or for one account."
        )
    ),
    "events.alertmessage": EmptyList(
        _("Messages about alerts are listed here as soon as one was sent through a channel."),
        (_CHANNEL,),
    ),
    "subscribers.subscriber": EmptyList(
        _(
            "Followers are listed here as soon as they follow or write. Those whom the account has "
            "already come from WeChat with a sync."
        ),
        (
            Step(
                _("Sync followers"), "subscribers_followersync_add", "subscribers.add_followersync"
            ),
        ),
    ),
    "subscribers.segment": EmptyList(
        _(
            "A segment is a filter of followers under a name, with their number now. Filter the "
            "followers, then press “Save these filters as a segment”."
        ),
        (_FOLLOWERS,),
    ),
    "subscribers.followerexport": EmptyList(
        _(
            "Your files are listed here for three days. Filter the followers if you like, then "
            "press “Export as XLSX” or “Export as CSV”."
        ),
        (_FOLLOWERS,),
    ),
    "subscribers.savedanswer": EmptyList(
        _("Answers that agents need often are listed here; in the inbox a click fills them in.")
    ),
    "subscribers.outgoingmessage": EmptyList(
        _(
            "Customer-service messages are listed here, with what became of them. Write one in the "
            "inbox or on a follower's page."
        ),
        (_INBOX, _FOLLOWERS),
    ),
    "subscribers.receivedmedia": EmptyList(
        _("Pictures, voice and video that followers send are listed here while they are fetched."),
        (_INBOX,),
    ),
    "subscribers.followersync": EmptyList(
        _(
            "A sync compares the followers with WeChat's list: who is missing here, who has left "
            "unnoticed. Its report is listed here."
        )
    ),
    "subscribers.followeredit": EmptyList(
        _(
            "Changes of tags and remarks are listed here on their way to WeChat. Make them on a "
            "follower's page, or for several in the list of followers."
        ),
        (_FOLLOWERS,),
    ),
    "subscribers.tagread": EmptyList(
        _("For each account it is listed here when the names of its tags were read from WeChat."),
        (_ACCOUNTS,),
    ),
    "subscribers.profilefetch": EmptyList(
        _(
            "For each account with an AppSecret it is listed here whether WeChat gives the profiles"
            " of followers."
        ),
        (_ACCOUNTS,),
    ),
    "subscribers.wechatday": EmptyList(
        _(
            "WeChat's own figures of each day are listed here beside ours, from the morning after. "
            "WeChat gives them to certified accounts with an AppSecret."
        ),
        (_ACCOUNTS,),
    ),
    "subscribers.qrscene": EmptyList(
        _(
            "With a QR code for each shop, poster or campaign you see who came by it. Add one, or "
            "several at once."
        ),
        (
            Step(
                _("Several at once"),
                "subscribers_qrscene_make_several",
                "subscribers.add_qrscene",
            ),
        ),
    ),
    "subscribers.scenetag": EmptyList(
        _("With tags of your own you find QR codes again. Give them to codes on the codes' pages."),
        (
            Step(
                _("Go to the QR codes"),
                "subscribers_qrscene_changelist",
                "subscribers.view_qrscene",
            ),
        ),
    ),
    "subscribers.seenscene": EmptyList(
        _(
            "Codes that were made elsewhere are listed here as soon as somebody scans one; they "
            "can be added to yours."
        ),
        (
            Step(
                _("Go to the QR codes"),
                "subscribers_qrscene_changelist",
                "subscribers.view_qrscene",
            ),
        ),
    ),
    "subscribers.binding": EmptyList(
        _(
            "Followers who are users of this site are listed here. A user binds their WeChat under "
            "“My WeChat”, or scans a code that you show."
        ),
        (_BINDING,),
    ),
    "subscribers.bindingrequest": EmptyList(
        _(
            "Each code by which a user binds their WeChat is listed here. It is valid for ten "
            "minutes."
        )
    ),
    "subscribers.bindingscan": EmptyList(
        _("Each scan of a binding code is listed here, with what came of it."), (_BINDING,)
    ),
    "subscribers.bindingtext": EmptyList(
        _(
            "Here you write what followers read when they are bound, refused or asked. Until then "
            "the texts that came with this site are sent."
        )
    ),
    "subscribers.webhookendpoint": EmptyList(
        _("A webhook tells another program of yours at once what happens here.")
    ),
    "subscribers.webhookdelivery": EmptyList(
        _("Each message to a webhook is listed here, with whether it arrived."), (_WEBHOOK,)
    ),
    "subscribers.erasure": EmptyList(
        _(
            "Each erasure is listed here without the person's name, with a receipt of what was "
            "removed. To erase somebody, open the follower's page and press “Erase this person”."
        ),
        (_FOLLOWERS,),
    ),
    "allauth_idp_oidc.client": EmptyList(
        _("Add an application, and users sign in to it through this site (OpenID Connect).")
    ),
    "auth.group": EmptyList(_("A group gives several users the same rights.")),
    "auth.user": EmptyList(_("Users sign in to this site; their groups say what they may do.")),
}
