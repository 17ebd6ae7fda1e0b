"""What workers of a vassal share through `import uwsgi`: locks and caches."""

import fcntl
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forked import run_forked
from vassal.runtime.cache_counts import CacheCounts, bytes_for
from vassal.runtime.cache_options import CacheError, CacheWish, caches_wanted
from vassal.runtime.layout import Layout
from vassal.runtime.uwsgi.absent import NOT_HERE
from vassal.runtime.uwsgi.cache import Cache
from vassal.runtime.uwsgi.decorators import decorators_for
from vassal.runtime.uwsgi.locks import Locks
from vassal.runtime.uwsgi.module import UwsgiModule
from vassal.runtime.uwsgi.state import State, option_table


@pytest.fixture(autouse=True)
def nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Locks live as long as their process, which is many tests here."""
    opened: list[int] = []
    make = os.memfd_create

    def noted(name: str, flags: int = 0) -> int:
        opened.append(make(name, flags))
        return opened[-1]

    monkeypatch.setattr(os, "memfd_create", noted)
    yield
    for fd in opened:
        os.close(fd)


def cache(items: int = 4, block: int = 16, key: int = 8, purges: bool = False) -> Cache:
    return made(CacheWish("x", items, block, key, purges))


def made(wish: CacheWish) -> Cache:
    return Cache(wish, Locks(), 64, CacheCounts(mmap.mmap(-1, bytes_for(1)), 0))


def test_a_lock_keeps_other_processes_out() -> None:
    locks = Locks()
    locks.acquire(0)
    assert locks.is_held(0)
    assert run_forked(lambda: locks.is_held(0))
    assert not run_forked(lambda: locks.is_held(1))
    locks.release(0)
    assert not run_forked(lambda: locks.is_held(0))
    locks.release(0)  # held by nobody: as in uWSGI, nothing
    assert not locks.is_held(0)


def test_a_lock_dies_with_its_holder() -> None:
    locks = Locks()
    pid = os.fork()
    if pid == 0:
        locks.acquire(0)
        os._exit(9)
    os.waitpid(pid, 0)
    assert not locks.is_held(0)
    locks.acquire(0)


def test_to_ask_for_a_lock_takes_it_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever tries the lock and gives it back, gives back what another thread of the same process
    # got in between.
    locks = Locks()
    monkeypatch.setattr(fcntl, "lockf", lambda *_: pytest.fail("it was tried"))
    assert not locks.is_held(0)


def test_a_value_is_seen_by_every_process() -> None:
    one = cache()
    assert run_forked(lambda: one.put(b"key", b"value", 0, replace=False))
    assert one.get(b"key") == b"value"
    assert not one.put(b"key", b"other", 0, replace=False)
    assert one.put(b"key", b"other", 0, replace=True)
    assert run_forked(lambda: one.get(b"key") == b"other")
    assert one.delete(b"key")
    assert one.get(b"key") is None
    assert not one.delete(b"key")


def test_what_is_too_long_or_too_much_is_not_stored() -> None:
    one = cache(items=2)
    assert not one.put(b"k" * 9, b"", 0, replace=True)
    assert not one.put(b"k", b"v" * 17, 0, replace=True)
    assert not one.put(b"", b"v", 0, replace=True)
    assert one.put(b"a", b"1", 0, replace=False)
    assert one.put(b"b", b"2", 0, replace=False)
    assert not one.put(b"c", b"3", 0, replace=False)
    one.delete(b"a")
    assert one.put(b"c", b"3", 0, replace=False)
    assert sorted(one.keys()) == [b"b", b"c"]


def test_a_value_expires_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    one = cache(items=1)
    assert one.put(b"a", b"1", 5, replace=False)
    now += 4_999_000_000
    assert one.get(b"a") == b"1"
    now += 1_000_000
    assert one.get(b"a") is None
    assert one.keys() == []
    assert one.put(b"b", b"2", 0, replace=False)


CHANGES: dict[str, Callable[[Cache], object]] = {
    "put": lambda one: one.put(b"new", b"1", 0, replace=False),
    "replace": lambda one: one.put(b"a", b"2", 0, replace=True),
    "delete": lambda one: one.delete(b"b"),
    "clear": Cache.clear,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("write", range(16))
def test_a_worker_killed_at_any_write_costs_its_entry_at_most(change: str, write: int) -> None:
    one = cache(items=4)
    before = {b"a": b"1", b"b": b"1", b"c": b"1"}
    for key, value in before.items():
        one.put(key, value, 0, replace=False)
    kill_at_write(one, write, CHANGES[change])

    found = {key: one.get(key) for key in one.keys()}  # noqa: SIM118
    touched = {b"new", b"a"} if change in ("put", "replace") else {b"b"}
    held = set(found)
    if change == "clear" and not found:
        found = before
    assert {key: value for key, value in found.items() if key not in touched} == {
        key: value for key, value in before.items() if key not in touched
    }
    # Nothing of its room is lost.
    more = [b"%d" % number for number in range(5)]
    assert sum(one.put(key, b"x", 0, replace=False) for key in more) == 4 - len(held)


def kill_at_write(one: Cache, number: int, change: Callable[[Cache], object]) -> None:
    pid = os.fork()
    if pid == 0:
        left = iter(range(number))
        write = one._write

        def write_or_die(at: int, value: int) -> None:
            if next(left, None) is None:
                os._exit(9)
            write(at, value)

        one._write = write_or_die  # type: ignore[method-assign]
        change(one)
        os._exit(0)
    os.waitpid(pid, 0)


def test_a_full_cache_is_looked_through_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_000
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    one = cache(items=2)
    one.put(b"a", b"1", 5, replace=False)
    one.put(b"b", b"1", 0, replace=False)
    assert not one.put(b"c", b"1", 0, replace=False)
    now += 4_500_000_000
    assert not one.put(b"c", b"1", 0, replace=False)
    now += 600_000_000  # expired, but it was looked for 0.6 s ago
    assert not one.put(b"c", b"1", 0, replace=False)
    assert one.get(b"a") is None
    now += 400_000_000
    assert one.put(b"c", b"1", 0, replace=False)
    assert sorted(one.keys()) == [b"b", b"c"]


def test_what_is_not_there_is_found_out_at_once() -> None:
    one = cache(items=1000)
    for number in range(1000):
        one.put(b"%d" % number, b"x", 0, replace=False)
    looked = 0
    entry = one._entry

    def counted(number: int) -> Any:
        nonlocal looked
        looked += 1
        return entry(number)

    one._entry = counted  # type: ignore[method-assign]
    assert all(one.get(b"not%d" % number) is None for number in range(1000))
    assert looked < 3000


def test_numbers_are_changed_in_one_step() -> None:
    one = cache()

    def count() -> None:
        for _ in range(200):
            one.change(b"n", lambda before: before + 1, 0)

    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            count()
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    assert one.number(b"n") == 600
    one.change(b"n", lambda before: 1 << 63, 0)
    assert one.number(b"n") == -(1 << 63)


@given(
    st.lists(
        st.tuples(st.sampled_from("spd"), st.sampled_from([b"a", b"b", b"c", b"d"]), st.binary()),
        max_size=60,
    )
)
def test_a_cache_is_a_bounded_dict(steps: list[tuple[str, bytes, bytes]]) -> None:
    one, model = cache(items=3), dict[bytes, bytes]()
    for what, key, value in steps:
        value = value[:16]
        if what == "d":
            assert one.delete(key) == (model.pop(key, None) is not None)
            continue
        stored = one.put(key, value, 0, replace=what == "p")
        may = (what == "p" or key not in model) and (key in model or len(model) < 3)
        assert stored == may
        if stored:
            model[key] = value
    assert {key: one.get(key) for key in one.keys()} == model  # noqa: SIM118


def test_full_cache_that_purges_takes_the_place_of_what_nobody_asks_for() -> None:
    one = cache(3, purges=True)
    for key in (b"a", b"b", b"c"):
        assert one.put(key, b"1", 0, replace=False)
    assert one.get(b"a") == b"1"
    assert one.put(b"d", b"1", 0, replace=False)
    assert sorted(one.keys()) == [b"a", b"c", b"d"]
    assert one.put(b"c", b"2", 0, replace=True)
    assert one.put(b"e", b"1", 0, replace=False)
    assert one.get(b"c") == b"2"
    for number in range(100):
        assert one.get(b"c") == b"2"
        assert one.put(b"%d" % number, b"1", 0, replace=False)
        assert len(one.keys()) == 3


def test_cache_where_everything_is_asked_for_purges_all_the_same() -> None:
    one = cache(3, purges=True)
    for key in (b"a", b"b", b"c"):
        one.put(key, b"1", 0, replace=False)
        one.get(key)
    assert one.put(b"d", b"1", 0, replace=False)
    assert len(one.keys()) == 3


def test_options_ask_for_caches() -> None:
    options = [
        ("cache2", "name=x,items=10,blocksize=100"),
        ("cache", "0"),
        ("cache", "5"),
        ("workers", "2"),
    ]
    assert [wish.name for wish in caches_wanted(options)] == ["x", "default"]
    wanted = "name=y,max_items=2k,key_size=3,lru=1"
    other = made(caches_wanted([("cache2", wanted)])[0])
    assert [other.put(key, b"", 0, True) for key in (b"1", b"2", b"3", b"1234")] == [
        *[True] * 3,
        False,
    ]
    assert len(other.keys()) == 2
    with pytest.raises(CacheError, match="has no number of items"):
        caches_wanted([("cache2", "name=x")])
    with pytest.raises(CacheError, match="may take"):
        made(caches_wanted([("cache2", "items=100000")])[0])


def test_of_two_options_the_last_counts() -> None:
    options = [("env", "A=b"), ("env", "C=d"), ("master", "")]
    found = option_table(options)
    assert (found["env"], found["master"], found["enable-threads"]) == (b"C=d", b"", True)


def module(*options: tuple[str, str], mode: str = "") -> UwsgiModule:
    fields = {"threads": "1", "workers": "1", "slots": "2", "mode": mode}
    caches = sum(name in ("cache", "cache2") for name, _ in options)
    memory = mmap.mmap(-1, Layout(2, 1, caches).size)
    return UwsgiModule(State(fields, list(options), memory))


def decorators(*options: tuple[str, str]) -> Any:
    return decorators_for(module(*options))


def test_the_master_is_who_forked_the_worker_for_its_children_too() -> None:
    one = module()
    assert one.masterpid() == os.getppid()
    one.begin_worker(1, None)
    assert run_forked(one.masterpid) == os.getppid()
    assert module(mode="solo").masterpid() == 0


def test_what_cannot_be_called_is_a_value_error_as_in_uwsgi() -> None:
    one = module()
    one.register_rpc("join", lambda *words: b"+".join(words))
    one.register_rpc("nothing", lambda: None)
    assert one.rpc(None, "join", "a", b"b") == one.call(b"join", "a", "b") == b"a+b"
    for name in ("nothing", "nobody"):
        with pytest.raises(ValueError, match="unable to call rpc function"):
            one.call(name)


def test_a_thread_starts_when_it_is_called_and_not_before() -> None:
    ran: list[int] = []
    done = threading.Event()

    def beside(number: int) -> None:
        ran.append(number)
        done.set()

    start = decorators().thread(beside)
    assert not ran
    assert start(7) is beside
    assert done.wait(10)
    assert ran == [7]


def test_what_is_called_after_a_fork_is_for_the_worker_that_is_named_or_for_all() -> None:
    one = module()
    found = decorators_for(one)
    called: list[str] = []
    for number, name in ((0, "all"), (1, "first"), (2, "second")):
        found.postfork(number)(lambda name=name: called.append(name))
    one._state.worker = 2
    one.post_fork_hook()
    assert called == ["all", "second"]


def test_a_decorated_function_keeps_its_name() -> None:
    def view() -> None:
        """Say something."""

    found = decorators()
    for decorated in (found.lock(view), found.thread(view), found.harakiri(3)(view)):
        assert (decorated.__name__, decorated.__doc__) == ("view", "Say something.")


def test_a_process_names_itself() -> None:
    comm = Path("/proc/self/comm")
    before = comm.read_text(encoding="utf-8").strip()
    try:
        module().setprocname("a name of twenty-one")
        assert comm.read_text(encoding="utf-8") == "a name of twent\n"
    finally:
        module().setprocname(before)


def test_mules_are_missed_only_where_the_file_has_them(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        return 3

    without, having = decorators(), decorators(("mules", "2"))
    for name in ("mule", "muleloop", "mulemsg", "farm"):
        assert getattr(without, name)(1)(work) is work
    for found in (without, having):
        with pytest.raises(RuntimeError, match=r"uwsgidecorators\.mulefunc: .* use a task queue"):
            found.mulefunc(1)(work)()
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    for name in ("mule", "muleloop", "mulemsg", "farm"):
        assert getattr(having, name)(1)(work) is work
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"uwsgidecorators: @{name}: {__name__}.test_mules")
        assert "work will not run" in line
        assert "use a task queue" in line


@pytest.mark.parametrize("name", ["timer", "rbtimer", "cron", "signal", "filemon"])
def test_a_function_on_a_signal_is_left_alone_and_named(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def work(number: int) -> int:
        return number

    arguments = (1,) * 5 if name == "cron" else (3,)
    assert getattr(decorators(), name)(*arguments, target="worker")(work) is work
    (line,) = capfd.readouterr().err.splitlines()
    assert f"@{name}: {__name__}." in line
    assert "work will not run" in line
    assert "systemd timer" in line


def test_who_wants_a_signal_gets_an_error_and_no_number() -> None:
    with pytest.raises(RuntimeError, match=r"get_free_signal: .* systemd timer"):
        decorators().get_free_signal()


@pytest.mark.parametrize("name", ["spool", "spoolforever", "spoolraw", "spool_decorate"])
def test_a_spooler_of_the_file_lets_the_site_load_and_nothing_is_lost_in_silence(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def work(arguments: object) -> object:
        return arguments

    having = getattr(decorators(("spooler", "/var/spool/blog")), name)
    for decorate in (having, having(pass_arguments=True)):
        decorated = decorate(work)
        (line,) = capfd.readouterr().err.splitlines()
        assert "work will not run" in line
        assert decorated.__name__ == "work"
        for send in (decorated, decorated.spool, work.spool):  # type: ignore[attr-defined]
            with pytest.raises(RuntimeError, match=f"{name}: .* use a task queue"):
                send({"a": "b"})
    with pytest.raises(RuntimeError, match="use a task queue"):
        getattr(decorators(), name)(work)


@pytest.mark.parametrize(
    ("name", "instead"),
    [(name, instead) for names, instead in NOT_HERE for name in names.split()],
)
def test_what_is_not_on_is_not_there_and_says_what_to_do(name: str, instead: str) -> None:
    found = module()
    assert not hasattr(found, name)
    with pytest.raises(AttributeError) as raised:
        getattr(found, name)
    assert str(raised.value) == f"uwsgi.{name}: {instead}"
    assert len(instead) > 30
