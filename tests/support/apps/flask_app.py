"""A small Flask application."""

from flask import Flask, Response, request

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return f"hello {name}"


@app.post("/form")
def form() -> dict[str, str]:
    return dict(request.form)


@app.get("/stream")
def stream() -> Response:
    return Response((f"{number}\n" for number in range(3)), mimetype="text/plain")


@app.get("/fail")
def fail() -> str:
    raise RuntimeError("on purpose")
