"""One set of settings for every environment; environment variables make the difference.

With nothing set, a local site works: SQLite in ``var/``, DEBUG on, this machine only. With
``DEBUG=False`` a missing or weak setting stops the start, and the message says what to set.
"""

from __future__ import annotations

from wechat_site.settings.admin import *
from wechat_site.settings.api import *
from wechat_site.settings.application import *
from wechat_site.settings.database import *
from wechat_site.settings.environment import *
from wechat_site.settings.hosts import *
from wechat_site.settings.keys import *
from wechat_site.settings.openid import *
from wechat_site.settings.operation import *
from wechat_site.settings.platform import *
from wechat_site.settings.receiving import *
from wechat_site.settings.retention import *
from wechat_site.settings.signin import *
from wechat_site.settings.webhooks import *
