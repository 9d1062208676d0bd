"""The table of all APIs: what each does and refuses, in one module for each group of calls."""

from __future__ import annotations

from events.simulator.fake_api.apis.call import Api, ApiCall
from events.simulator.fake_api.apis.codes import CODES
from events.simulator.fake_api.apis.datacube import DATACUBE
from events.simulator.fake_api.apis.diagnostics import DIAGNOSTICS
from events.simulator.fake_api.apis.js_tickets import JS_TICKETS
from events.simulator.fake_api.apis.media import MEDIA
from events.simulator.fake_api.apis.menus import MENUS
from events.simulator.fake_api.apis.messages import MESSAGES
from events.simulator.fake_api.apis.quotas import quota_apis
from events.simulator.fake_api.apis.tags import TAGS
from events.simulator.fake_api.apis.users import USERS

__all__ = ["APIS", "Api", "ApiCall"]

APIS: dict[str, Api] = {
    **CODES,
    **DIAGNOSTICS,
    **JS_TICKETS,
    **MEDIA,
    **MENUS,
    **MESSAGES,
    **DATACUBE,
    **TAGS,
    **USERS,
}
APIS |= quota_apis(APIS)
