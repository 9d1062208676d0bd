"""The site for any WSGI server; `manage.py serve` has a front before it (serving/web_process)."""

from __future__ import annotations

import gc
import os

from django.core.wsgi import get_wsgi_application

# As in manage.py.
gc.disable()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")

application = get_wsgi_application()
