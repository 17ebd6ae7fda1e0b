"""Reads options from XML text: no document type, no entities of its own. Pure."""

from xml.parsers import expat

from emperor.uwsgi.option import Unreadable, Written

DEPTH_MAX = 20
_SHAPE = "<uwsgi><module>blog.wsgi</module></uwsgi>"


class _Collector:
    """Takes the options of the first <uwsgi> whose id is the one asked for, if one is."""

    def __init__(self, parser: expat.XMLParserType, wanted_id: str | None) -> None:
        self.found: list[Written] = []
        self.seen = False
        self._parser = parser
        self._wanted_id = wanted_id
        self._depth = 0
        self._inside = 0  # the depth of the <uwsgi> we are in
        self._option: tuple[str, dict[str, str], int] | None = None
        self._text: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            self.refuse("nested too deep")
        if not self._inside:
            if not self.seen and name == "uwsgi" and self._is_asked_for(attributes):
                self._inside = self._depth
                self.seen = True
        elif self._depth == self._inside + 1 and self._is_asked_for(attributes):
            self._option = (name, attributes, self._parser.CurrentLineNumber)
            self._text = None

    def data(self, text: str) -> None:
        if self._option is not None and self._depth >= self._inside + 1:
            self._text = (self._text or "") + text

    def end(self, name: str) -> None:
        if self._option is not None and self._depth == self._inside + 1:
            self._take(*self._option)
            self._option = None
        if self._depth == self._inside:
            self._inside = 0
        self._depth -= 1

    def refuse(self, problem: str) -> None:
        raise Unreadable(self._parser.CurrentLineNumber, problem, f"write {_SHAPE}")

    def _is_asked_for(self, attributes: dict[str, str]) -> bool:
        own = attributes.get("id")
        return own is None or self._wanted_id is None or own == self._wanted_id

    def _take(self, name: str, attributes: dict[str, str], line: int) -> None:
        if name != "app":
            self.found.append(Written(name, "1" if self._text is None else self._text, line))
            return
        value = (self._text or "").strip()
        if "mountpoint" in attributes:
            value = f"{attributes['mountpoint']}={value}"
        elif "domain" in attributes:
            value = f"{attributes['domain']}|={value}"
        if value:
            self.found.append(Written("mount", value, line))
        self.found.append(Written("app", "", line))


def read_xml(text: str, wanted_id: str | None) -> list[Written] | None:
    """Return the options of <uwsgi>, or of the one with this id; None if it is not there.

    Raises Unreadable.
    """
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    collector = _Collector(parser, wanted_id)
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.data
    parser.StartDoctypeDeclHandler = lambda *of_it: collector.refuse("a document type")
    try:
        parser.Parse(text.encode("utf-8", "surrogateescape"), True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        raise Unreadable(error.lineno, f"no XML: {what}", f"write {_SHAPE}") from None
    return collector.found if collector.seen else None
