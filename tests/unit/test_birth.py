"""Which change of a vassal needs a new generation, and which only other limits."""

from typing import Any

from emperor.brain.birth import NOTHING, PATH, Logs, Spec, build
from emperor.config.identity import Identity
from emperor.config.settings import VassalSettings
from emperor.uwsgi.live import LIVE
from emperor.uwsgi.option import Option
from emperor.uwsgi.translate import translate
from limits.directives import Limits, Subject
from limits.facts import HostFacts
from limits.layout import lay_out

FACTS = HostFacts(uids=(0, 0, 0), gids=(0, 0, 0))
BLOG = Identity(uid=1001, gid=1001, groups=(1001,), user="blog", home="/", shell="/bin/sh")


def spec(*options: tuple[str, str], inherited: Any = NOTHING, **more: Any) -> Spec:
    settings = VassalSettings(
        name="blog", app="a:b", directory="/srv", listen=(), uwsgi_options=options, **more
    )
    subject = Subject(vassal="blog", customer="blog", uid=1001, gid=1001, groups=(1001,))
    layout = lay_out(settings.limits, settings.sandbox, subject, FACTS, None)
    return build(
        "/v/blog.ini", settings, BLOG, "/usr/bin/python3", Logs("file"), "C", subject, layout,
        inherited,
    )  # fmt: skip


def test_changed_limit_of_a_uwsgi_file_builds_no_generation() -> None:
    before = spec(("limit-as", "256"), limits=Limits(rlimits={"as": (256, 256)}))
    after = spec(("limit-as", "512"), limits=Limits(rlimits={"as": (512, 512)}))
    assert before.generation_digest == after.generation_digest
    assert before.limits_digest != after.limits_digest
    assert after.generation.uwsgi_options == (("limit-as", "512"),)


def test_option_that_the_application_may_read_builds_a_generation() -> None:
    assert spec(("site", "one")).generation_digest != spec(("site", "two")).generation_digest


def test_what_is_inherited_counts_least_and_builds_a_generation() -> None:
    inherited = {"A": "theirs", "B": "theirs", "HOME": "/root", "PATH": "/opt/bin"}
    found = spec(env={"B": "own"}, inherited=inherited)
    env = found.generation.env
    assert [env[name] for name in ("A", "B", "HOME", "PATH")] == ["theirs", "own", "/", PATH]
    assert found.generation_digest != spec(env={"B": "own"}).generation_digest
    assert found.birth_digest == spec(env={"B": "own"}).birth_digest


def test_options_that_are_live_become_limits_and_nothing_else() -> None:
    for name in LIVE:
        options = [Option(name, "512", "blog.ini", 2)]
        values = translate("blog", options, "/srv").document.values
        limits = values["limits"]
        assert isinstance(limits, dict)
        assert {key.partition("_")[0] for key in limits} == {"limit"}
        assert set(values) <= {"limits", "directory"}
