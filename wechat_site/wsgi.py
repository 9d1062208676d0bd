"""The site for any WSGI server; `manage.py serve` puts a front before it (serving/web_process)."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application

# Off until everything is loaded, as in manage.py; WechatSiteConfig.ready() turns it on.
gc.disable()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")

application = get_wsgi_application()
