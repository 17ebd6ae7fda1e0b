"""Vassals whose application is a file, with real processes."""

from tests.support.emperor import Emperor, get

PICKLES = """
import pickle

class Word:
    text = b"pickled"

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [pickle.loads(pickle.dumps(Word())).text + b" " + __file__.encode()]
"""


def test_file_of_the_directory_serves_and_its_classes_can_be_pickled(emperor: Emperor) -> None:
    emperor.app("wsgi", PICKLES)
    port = emperor.drop("blog", app="wsgi.py")
    emperor.start()
    emperor.wait_state("blog", "ready")
    assert get(port) == (200, f"pickled {emperor.apps}/wsgi.py".encode())


def test_what_is_wrong_with_a_file_is_the_reason_that_its_vassal_is_parked(
    emperor: Emperor,
) -> None:
    emperor.app("empty", "")
    emperor.app("wrong", "\n\ndef (:\n")
    emperor.drop("missing", app="nothing/wsgi.py:application")
    emperor.drop("empty", app="./empty.py:app")
    emperor.drop("wrong", app="wrong.py")
    emperor.start()
    found = {name: emperor.wait_state(name, "parked") for name in ("missing", "empty", "wrong")}
    says = {name: vassal["last_failure"]["message"] for name, vassal in found.items()}
    assert f"{emperor.apps}/nothing/wsgi.py cannot be read: No such file" in says["missing"]
    assert f"file '{emperor.apps}/empty.py' has no attribute 'app'" in says["empty"]
    assert "SyntaxError: invalid syntax (wrong.py, line 3)" in says["wrong"]
    trace = found["wrong"]["last_failure"]["traceback"]
    assert f'File "{emperor.apps}/wrong.py", line 3' in trace
    assert "emperord" not in trace
