from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wechat_site.settings")

_django = get_wsgi_application()

# Only now are the settings there that it reads.
from events.callback.wsgi import CallbackFront  # noqa: E402

application = CallbackFront(_django)
