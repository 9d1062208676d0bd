from __future__ import annotations

from django.apps import AppConfig


class ExampleConfig(AppConfig):
    name = "events.tests.example_app"
    label = "example_app"

    def ready(self) -> None:
        from events.tests.example_app import wechat  # noqa: F401  (it registers itself)
