"""Foreign servers with as little of ours around them as they need, for uvicorn's `--factory`.

Each is an app in a process of its own (`conftest.started`) and finds its file in the environment.
"""

import os
from typing import Any

FILE = "INTEROP_FILE"
USER, WORD = "bloem", "geheim-woord-9931"


def datasette() -> Any:
    """Datasette with its plugin for GraphQL: nothing but the file."""
    from datasette.app import Datasette

    return Datasette([os.environ[FILE]]).app()


def rest_framework() -> Any:
    """Django REST framework: the orders, once by each of its three kinds of pages."""
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="integrations_tests.interop.rest_framework",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ[FILE]}},
        INSTALLED_APPS=["rest_framework"],
        REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    )
    django.setup()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def strawberry() -> Any:
    """Strawberry's own app for its own schema."""
    from strawberry.asgi import GraphQL

    from integrations_tests.interop.strawberries import SCHEMA

    return GraphQL(SCHEMA)
