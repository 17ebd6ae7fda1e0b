"""A small Falcon application."""

import falcon


class Hello:
    def on_get(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        response.text = f"hello {name}"


class Form:
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        response.media = request.get_media()


class Stream:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.stream = (f"{number}\n".encode() for number in range(3))


class Fail:
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        raise RuntimeError("on purpose")


application = falcon.App()
application.add_route("/hello/{name}", Hello())
application.add_route("/form", Form())
application.add_route("/stream", Stream())
application.add_route("/fail", Fail())
