"""The command line of uWSGI's emperor, as people have it in their units, in our terms. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from emperor.config.emperor_file import OPTION_TEMPLATES
from emperor.config.problems import Invalid, Problem, quoted
from emperor.config.stats_addresses import stats_address
from emperor.uwsgi.draft import Verdict
from emperor.uwsgi.environment import ENVIRONMENT
from emperor.uwsgi.host import absolute
from emperor.uwsgi.immediate import dialect_of
from emperor.uwsgi.native import native_text
from emperor.uwsgi.option import Option
from emperor.uwsgi.rows import Known, Support
from emperor.uwsgi.stats import stats_url
from emperor.uwsgi.table_control import READ
from emperor.uwsgi.values import atoi, truth
from emperor.uwsgi.words import on_command_line

SETTINGS_FILE = "uwsgi-emperor.toml"
"""In the runtime directory; made anew at each start, and at each reload."""

SCHEMES = ("dir://", "glob://")
TEMPLATES = {
    "vassals-inherit": "vassals_inherit",
    "vassals-include": "vassals_include",
    "vassals-inherit-before": "vassals_inherit_before",
    "vassals-include-before": "vassals_include_before",
    "vassals-set": "vassals_set",
    "vassal-set": "vassals_set",
}
PIDFILES = (
    "pidfile",
    "pidfile2",
    "safe-pidfile",
    "safe-pidfile2",
    "emperor-pidfile",
)
"""All tell of one process here; the last of these names that is given has the word."""

SATISFIED = {"die-on-term": "SIGTERM ends the emperor"}
IGNORED = {
    "plugin": "Python and HTTP are built in",
    "plugins": "Python and HTTP are built in",
    "need-plugin": "Python and HTTP are built in",
    "emperor-procname": "the processes are named emperor: …",
    "strict": "unknown options are reported always",
    "chdir": "every path is absolute here",
    "cheap": "the emperor serves nothing itself",
    "procname-prefix": "the processes are named emperor: …",
}
UNSUPPORTED = {
    "emperor-on-demand-extension": "write on_demand = true in the vassal's own file",
    "emperor-on-demand-directory": "write on_demand = true in the vassal's own file",
    "emperor-on-demand-exec": "write on_demand = true in the vassal's own file",
    "emperor-wrapper": "write python = PATH in the vassal's file",
    "daemonize": "let systemd run it: Type=notify",
    "daemonize2": "let systemd run it: Type=notify",
}


class EmperorsOwn(NamedTuple):
    """What an emperor is asked to be. `text` is its emperor.toml; `log` a file, "" = none;
    `made` are the paths of its fifo and pidfile, by the option that names them."""

    text: str
    log: str
    is_emperor: bool
    verdicts: tuple[Verdict, ...]
    problems: tuple[Problem, ...]
    made: Mapping[str, str] = {}


def emperors_own(
    options: Sequence[Option],
    known: Mapping[str, Known],
    cwd: str,
    for_vassals: Sequence[tuple[str, str]] = (),
) -> EmperorsOwn:
    """Return the settings of the emperor that these options ask for, started in `cwd`.

    `for_vassals` are the options that its environment has for every vassal.
    """
    draft = _Own(cwd)
    if for_vassals:
        draft.templates["vassals_options"] = [f"{name}={value}" for name, value in for_vassals]
    for option in options:
        draft.take(option, known)
    values = draft.values()
    return EmperorsOwn(
        native_text(values),
        draft.log,
        bool(draft.directories),
        tuple(draft.verdicts),
        tuple(draft.problems),
        draft.made,
    )


class _Own:
    def __init__(self, cwd: str) -> None:
        self._cwd = cwd
        self.directories: list[str] = []
        self._files: list[str] = []
        self._whole: set[str] = set()  # directories that are named without a pattern, too
        self.policy: dict[str, object] = {}
        self.limits: dict[str, object] = {}
        self.templates: dict[str, list[str]] = {}
        self.stats: dict[str, Option] = {}
        self.is_stats_http = False
        self.log = ""
        self.fifo = ""
        self.pidfiles: dict[str, Option] = {}
        self.made: dict[str, str] = {}
        self.verdicts: list[Verdict] = []
        self.problems: list[Problem] = []
        self._rules: dict[str, Callable[[Option], str]] = {
            "emperor": self._emperor,
            "emperor-tyrant": self._tyrant,
            "max-fd": self._max_fd,
            "uid": self._uid,
            "gid": self._gid,
            "emperor-stats": self._stats,
            "emperor-stats-server": self._stats,
            "stats": self._stats,
            "stats-server": self._stats,
            "stats-http": self._stats_http,
            "master-fifo": self._master_fifo,
            **dict.fromkeys(PIDFILES, self._pidfile),
            "logto": self._logto,
            "logto2": self._logto,
            **dict.fromkeys(TEMPLATES, self._template),
        }

    def values(self) -> dict[str, object]:
        """Return the values of emperor.toml; judge addresses that are none. Called once, last."""
        found: dict[str, object] = {"directories": self.directories}
        files = [path for path in self._files if path.rpartition("/")[0] not in self._whole]
        if files:
            found["files"] = files
        for key, option in self.stats.items():
            try:
                url = stats_url(option.value, self.is_stats_http, self._cwd)
                found[key] = [stats_address(url).url]
            except Invalid as error:
                # No reason to serve nothing.
                fault = error.faults[0]
                self._judge(option, Support.UNSUPPORTED, f"{fault.problem}; {fault.remedy}")
        if self.fifo:
            found["fifo"] = self.fifo
        if self.pidfiles:
            found["pidfile"] = self._one_pidfile()
        if self.policy:
            found["policy"] = self.policy
        if self.limits:
            found["defaults"] = {"limits": self.limits}
        # uWSGI's emperor goes to the directory that it watches.
        base = self.directories[0] if self.directories else self._cwd
        around = {
            name: texts if name in OPTION_TEMPLATES else [absolute(one, base) for one in texts]
            for name, texts in self.templates.items()
        }
        # Their names and values stay in the environment: this file is no place for secrets.
        found["uwsgi"] = {**around, "inherit_environment": True}
        return found

    def take(self, option: Option, known: Mapping[str, Known]) -> None:
        rule = self._rules.get(option.name)
        if rule is not None:
            self._judge(option, Support.SUPPORTED, rule(option))
        elif option.name in SATISFIED:
            self._judge(option, Support.SATISFIED, SATISFIED[option.name])
        elif option.name in IGNORED:
            self._judge(option, Support.IGNORED, IGNORED[option.name])
        elif option.name in UNSUPPORTED:
            self._judge(option, Support.UNSUPPORTED, UNSUPPORTED[option.name])
        elif option.name in known:
            each = known[option.name]
            if each.text == READ:
                self._judge(option, Support.SUPPORTED, READ)
                return
            text = each.text if each.support is not Support.SUPPORTED else "is for vassals"
            if option.file == ENVIRONMENT and each.support is Support.SUPPORTED:
                text += f": set UWSGI_VASSAL_{option.name.upper().replace('-', '_')}"
            verdict = Support.UNSUPPORTED if each.support is Support.SUPPORTED else each.support
            self._judge(option, verdict, text)
        else:
            self._judge(option, Support.UNKNOWN, "is no option of uWSGI")

    def _judge(self, option: Option, support: Support, text: str) -> None:
        self.verdicts.append(Verdict(option, support, text))

    def _emperor(self, option: Option) -> str:
        path = option.value
        for scheme in SCHEMES:
            path = path.removeprefix(scheme)
        if "://" in path:
            problem = "is watched by nothing here"
            self.problems.append(
                on_command_line(f"emperor = {option.value}", problem, "name a directory")
            )
            return ""
        folder, _, last = path.rpartition("/")
        pattern = ""
        if any(char in last for char in "*?[") or dialect_of(last) is not None:
            path, pattern = folder or self._cwd, last
        if any(char in path for char in "*?["):
            self.problems.append(
                on_command_line(
                    f"emperor = {option.value}",
                    "is a pattern of directories",
                    "name each directory: --emperor DIR --emperor DIR",
                )
            )
            return ""
        path = absolute(path, self._cwd)
        if path not in self.directories:
            self.directories.append(path)
        if pattern in ("", "*"):
            self._whole.add(path)
            return f"directories = [{quoted(path)}]"
        self._files.append(f"{path}/{pattern}")
        return f"directories = [{quoted(path)}], files = [{quoted(self._files[-1])}]"

    def _tyrant(self, option: Option) -> str:
        if truth(option.value):
            self.policy["tyrant"] = True
        return "policy.tyrant"

    def _uid(self, option: Option) -> str:
        self.policy["default_user"] = option.value
        return "policy.default_user: vassals run as it, the emperor stays root"

    def _gid(self, option: Option) -> str:
        self.policy["default_group"] = option.value
        return "policy.default_group"

    def _max_fd(self, option: Option) -> str:
        most = atoi(option.value)
        if most > 0:
            self.limits["limit_nofile"] = most
        return "defaults.limits.limit_nofile: vassals have it, and tenants' files no more"

    def _stats(self, option: Option) -> str:
        # The emperor's own master has no workers: those of all vassals are told in their place.
        key = "stats" if option.name.startswith("emperor-") else "stats_workers"
        self.stats[key] = option
        return key

    def _stats_http(self, option: Option) -> str:
        self.is_stats_http = truth(option.value)
        return "stats: told as HTTP"

    def _master_fifo(self, option: Option) -> str:
        self.fifo = self.fifo or absolute(option.value, self._cwd)
        self.made["master-fifo"] = self.fifo
        return f"fifo = {quoted(self.fifo)}"

    def _pidfile(self, option: Option) -> str:
        self.pidfiles[option.name] = option
        return f"pidfile = {quoted(absolute(option.value, self._cwd))}"

    def _one_pidfile(self) -> str:
        *others, name = sorted(self.pidfiles, key=PIDFILES.index)
        path = self.made[name] = absolute(self.pidfiles[name].value, self._cwd)
        for other in others:
            option = self.pidfiles[other]
            if absolute(option.value, self._cwd) != path:
                text = f"an emperor has one pidfile, and {name} says where"
                self._judge(option, Support.UNSUPPORTED, text)
        return path

    def _logto(self, option: Option) -> str:
        self.log = option.value
        return "the emperor's log"

    def _template(self, option: Option) -> str:
        name = TEMPLATES[option.name]
        self.templates.setdefault(name, []).append(option.value)
        return f"uwsgi.{name}"
