"""An application made by a factory that takes an argument."""

import os
from collections.abc import Callable, Iterable
from typing import Any


def create_app(name: str) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    currency = os.environ["SHOP_CURRENCY"]

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{name} at {host}: one penguin, 3 {currency}\n".encode()]

    return application
