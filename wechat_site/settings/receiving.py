"""Receiving pushes and other requests: sizes, threads, times."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from wechat_site.settings.environment import env

# In bytes. A real push is below 10 kB.
CALLBACK_MAX_BODY = env.int("CALLBACK_MAX_BODY", default=64 * 1024)
# The most pushes of one process that one commit stores.
CALLBACK_BATCH = env.int("CALLBACK_BATCH", default=500)
if CALLBACK_BATCH < 1:
    raise ImproperlyConfigured("CALLBACK_BATCH must be at least 1.")
# Seconds for which WeChat waits for an answer to a push before it tries again, three times in all.
# Only tests change this, to let WeChat's time pass quicker.
CALLBACK_SECONDS: float = env.float("CALLBACK_SECONDS", default=5)
# Threads of one web process, and of one worker, in which reply handlers run.
REPLY_HANDLER_THREADS = env.int("REPLY_HANDLER_THREADS", default=16)
# A handler that runs longer than this counts as dead, and the worker runs it again.
REPLY_HANDLER_SECONDS: float = env.float("REPLY_HANDLER_SECONDS", default=60)
# Threads of one web process for all other requests: pages, API, static files.
PAGE_THREADS = env.int("PAGE_THREADS", default=8)
if REPLY_HANDLER_THREADS < 1 or PAGE_THREADS < 1:
    raise ImproperlyConfigured("REPLY_HANDLER_THREADS and PAGE_THREADS must be at least 1.")
# The most bytes in the body of a request to a page: in any case, and without session or API key.
PAGE_MAX_BODY = env.int("PAGE_MAX_BODY", default=16 * 1024 * 1024)
PAGE_MAX_BODY_OF_STRANGERS = env.int("PAGE_MAX_BODY_OF_STRANGERS", default=64 * 1024)
# The most seconds between a push's timestamp and our clock. 0: old pushes are counted but not
# refused, since a wrong clock must not become an outage.
CALLBACK_MAX_AGE: int | None = env.int("CALLBACK_MAX_AGE", default=0) or None
# The same for accounts in plaintext mode, but only for pushes that are too old. The signature there
# does not cover the body, so without a limit a captured query would let forgeries in for ever.
# WeChat's attempts end within seconds; the rest of the time allows for clocks that differ. 0
# refuses none.
CALLBACK_MAX_AGE_PLAINTEXT: int | None = env.int("CALLBACK_MAX_AGE_PLAINTEXT", default=900) or None
if CALLBACK_MAX_AGE_PLAINTEXT is not None and CALLBACK_MAX_AGE_PLAINTEXT < 60:
    raise ImproperlyConfigured(
        "CALLBACK_MAX_AGE_PLAINTEXT must be at least 60 seconds, or pushes are lost that WeChat is "
        "still sending; 0 accepts pushes of any age."
    )
# Seconds for which the site still accepts the previous token and AES key after a change.
SECRET_ROTATION_SECONDS = env.int("SECRET_ROTATION_SECONDS", default=3600)
