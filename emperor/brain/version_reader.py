"""Turns one version of a vassal file into what it asks for, or into what is wrong with it."""

from typing import NamedTuple

from emperor.brain import interpreter
from emperor.brain.birth import Spec
from emperor.brain.faults import REMEDY, fault_fields
from emperor.brain.history import Version
from emperor.brain.neighbours import Neighbours
from emperor.brain.patience import Patience, Silence
from emperor.brain.patient_host import PatientHost
from emperor.brain.roll import Publish
from emperor.brain.specs import SpecMaker
from emperor.config.file_names import speaks_uwsgi
from emperor.config.identity import owner_of
from emperor.config.problems import ConfigError, Problem
from emperor.config.settings import EmperorSettings, Owner, VassalSettings
from emperor.config.vassal_file import load_vassal
from emperor.parsing.located import lines_of, lines_of_uwsgi, located
from emperor.parsing.process import ParserProcess
from emperor.uwsgi.host import Facts
from emperor.uwsgi.real_host import RealHost, seen_by


class Refusal(NamedTuple):
    """All that is wrong with a version, one line each. `may_pass`: the text is right, and what it
    names is not there, or not allowed yet; `is_silence`: or does not answer."""

    lines: tuple[str, ...]
    may_pass: bool
    is_silence: bool = False


class VersionReader:
    """Reads what roots and tenants wrote, each in its place. `close` it."""

    def __init__(
        self, settings: EmperorSettings, specs: SpecMaker, patience: Patience, publish: Publish
    ) -> None:
        self._settings = settings
        self._specs = specs
        self._patience = patience
        self._publish = publish
        self._parser = ParserProcess(settings)
        self._faults: dict[str, str] = {}  # by vassal, the last one that was told of

    @property
    def neighbours(self) -> Neighbours:
        """Who counts as one of the vassals, by what was read."""
        return self._specs.neighbours

    async def close(self) -> None:
        """End the process that parses tenants' files."""
        await self._parser.close()

    async def read(self, name: str, path: str, version: Version) -> Spec | Refusal:
        """Return the spec of the file at `path` with this version's content. Never raises."""
        try:
            return await self._read(name, path, version)
        except Exception as error:
            # Once: its owner may touch it as often as they like.
            if self._faults.get(name) != repr(error):
                self._faults[name] = repr(error)
                self._publish("error", "fault", name, fault_fields(error, "reading the file"))
            return Refusal((f"{path}: {error!r}; {REMEDY}",), may_pass=True)

    async def _read(self, name: str, path: str, version: Version) -> Spec | Refusal:
        try:
            settings = await self._parse(name, path, version)
            if isinstance(settings, ConfigError):
                return Refusal(tuple(map(str, settings.problems)), may_pass=False)
            return await self._specs.make(settings, version.owner_uid, version.gid, path)
        except ConfigError as error:
            problems = error.problems
        except interpreter.NoInterpreter as error:
            problems = (
                Problem(
                    file=path, line=1, key="python", problem=error.problem, remedy=error.remedy
                ),
            )
        except OSError as error:
            return Refusal((f"{path}: {error}",), True, isinstance(error, Silence))
        try:
            found = await self._located(problems, name, path, version)
        except OSError:  # what it includes cannot be read now: without lines then
            found = problems
        return Refusal(tuple(map(str, found)), may_pass=True)

    async def _located(
        self, problems: tuple[Problem, ...], name: str, path: str, version: Version
    ) -> tuple[Problem, ...]:
        """Return what was found when the file had been read already, with the lines of it."""
        keys = tuple(dict.fromkeys(problem.key for problem in problems if problem.file == path))
        owner = owner_of(version.owner_uid)
        if not speaks_uwsgi(path):
            if owner.tenant:
                lines = await self._parser.locate(keys, name, version.text, path, owner)
            else:
                lines = lines_of(version.text, path, keys)
            return located(problems, path, lines)
        host, facts = self._seen_by(version.owner_uid, path.rpartition("/")[0])
        if owner.tenant:
            lines = await self._parser.locate(keys, name, version.text, path, owner, host, facts)
        else:
            lines = lines_of_uwsgi(name, version.text, path, host, facts, self._settings, keys)
        return located(problems, path, lines)

    def forget(self, name: str) -> None:
        """The vassal's file is gone."""
        self._specs.forget(name)
        self._faults.pop(name, None)

    async def _parse(self, name: str, path: str, version: Version) -> VassalSettings | ConfigError:
        folder = path.rpartition("/")[0]
        owner = owner_of(version.owner_uid)
        if speaks_uwsgi(path):
            return await self._parse_uwsgi(name, path, folder, version, owner)
        if not owner.tenant:
            return load_vassal(name, version.text, path, folder, self._settings, owner)
        # A tenant's bytes are parsed by a process that has nothing to lose.
        return await self._parser.parse(name, version.text, path, folder, owner)

    def _seen_by(self, owner_uid: int, folder: str) -> tuple[RealHost, Facts]:
        host, facts = seen_by(owner_uid, folder)
        # Tenants' files get their answers from a thread anyhow.
        return host if owner_of(owner_uid).tenant else PatientHost(self._patience), facts

    async def _parse_uwsgi(
        self, name: str, path: str, folder: str, version: Version, owner: Owner
    ) -> VassalSettings | ConfigError:
        host, facts = self._seen_by(version.owner_uid, folder)
        if not owner.tenant:
            # Most emperors have no such file, and a brain that was killed is missed.
            from emperor.uwsgi.vassal import load_uwsgi

            return load_uwsgi(name, version.text, path, host, facts, self._settings, owner)
        return await self._parser.parse_uwsgi(name, version.text, path, owner, host, facts)
