"""A Flask application that needs the PyPI package `limits`, by way of Flask-Limiter."""

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

import limits

app = Flask(__name__)
limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")


@app.get("/twice")
@limiter.limit("2 per hour")
def twice() -> str:
    return f"limits {limits.__version__}"
