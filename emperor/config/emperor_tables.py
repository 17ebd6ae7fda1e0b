"""Reads the tables of emperor.toml that have a name each: plans, owners, customers. Pure."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from emperor.config import directives, values
from emperor.config.document import Document, Octal
from emperor.config.fields import limits_of
from emperor.config.key import Key
from emperor.config.keys import PLAN_KEYS, VASSAL_KEYS, is_directive
from emperor.config.limits_keys import BUDGET_KEYS
from emperor.config.network import host_name
from emperor.config.policy import EVERYBODY, NO_PLAN, unknown_customer, unknown_plan
from emperor.config.problems import PROBLEMS_MAX, Fault, Invalid, Path, Problem, described, dotted
from emperor.config.schemas import BOOLEAN, TEXTS, WORD, integer, list_of
from emperor.config.settings import Budget, Layer, Machine, OwnerPolicy
from emperor.config.table import Reading
from emperor.config.vassal_file import check_layer
from limits.directives import Limits

NAMES_MAX = 4096


def _host_pattern(value: object) -> str:
    if value == EVERYBODY:
        return EVERYBODY
    wild = isinstance(value, str) and value.startswith("*.")
    name = host_name(value[2:] if isinstance(value, str) and wild else value)
    return f"*.{name}" if wild else name


def _host_patterns(value: object) -> tuple[str, ...]:
    return values.list_of(value, _host_pattern, '["blog.example", "*.blog.example"]', 256)


def _plans(value: object) -> tuple[str, ...]:
    return values.list_of(value, directives.word, '["small", "large"]', 256)


_OWN_KEYS = (
    Key("plan", directives.word, WORD, "The plan of its vassals.", "", '"small"'),
    Key(
        "plans",
        _plans,
        list_of(WORD),
        "Other plans that its files may choose with plan = NAME.",
        "[]",
        '["small", "large"]',
    ),
    Key(
        "customer",
        directives.word,
        WORD,
        "The customer whose budget its vassals share.",
        "",
        '"acme"',
    ),
    Key(
        "max_vassals",
        partial(values.whole, minimum=0, maximum=1_000_000),
        integer(0, 1_000_000),
        "How many vassal files it may have.",
        "",
        "5",
    ),
    Key(
        "hosts",
        _host_patterns,
        TEXTS,
        'The names that its files may claim; "*.blog.example" is all below. Default: any.',
        "",
        '["blog.example", "*.blog.example"]',
    ),
    Key(
        "listen_tcp",
        values.boolean,
        BOOLEAN,
        "Its files may listen on ports, not on unix sockets only.",
        "true",
        "false",
    ),
)


def workers_max(example: str) -> Key:
    """Return the key that bounds how many workers a customer, or the host, has."""
    return Key(
        "workers_max",
        partial(values.whole, minimum=1, maximum=1_000_000),
        integer(1, 1_000_000),
        "Vassals with workers = { min, max } grow no further when all have so many workers.",
        "",
        example,
    )


OWNER_KEYS: Mapping[str, Key] = {
    **{key.name: key for key in _OWN_KEYS},
    **{name: key for name, key in VASSAL_KEYS.items() if is_directive(name)},
}
CUSTOMER_KEYS: Mapping[str, Key] = {
    "workers_max": workers_max(example="16"),
    **{key.name: key for key in BUDGET_KEYS},
}


class Tables(NamedTuple):
    """What the tables say."""

    plans: dict[str, Layer]
    owners: dict[str, OwnerPolicy]
    customers: dict[str, Budget]


def read_tables(
    document: Document, default_plan: object, machine: Machine
) -> tuple[Tables, list[Problem]]:
    """Return the tables of an emperor's file, and all that is wrong with them."""
    tables, problems = Tables({}, {}, {}), list[Problem]()

    def each(
        table: str, keys: Mapping[str, Key], name: Callable[[object], str]
    ) -> Iterator[tuple[str, Document, Reading]]:
        for found in _named(document, table, name, problems):
            part = below(document, (table, found))
            reading = check_layer(part, keys, machine)
            problems.extend(within(problem, (table, found)) for problem in reading.problems)
            yield found, part, reading

    for name, part, _ in each("plan", PLAN_KEYS, _plan_name):
        tables.plans[name] = layer_of(part)
    for name, part, reading in each("owner", OWNER_KEYS, _owner_name):
        read: dict[str, Any] = reading.values
        given = {key.name: read[key.name] for key in _OWN_KEYS if key.name in read}
        own = {key: value for key, value in part.values.items() if key in ("limits", "sandbox")}
        tables.owners[name] = OwnerPolicy(**given, layer=layer_of(part._replace(values=own)))
        for key, plan in _plans_named(read):
            _check_plan(document, ("owner", name, *key), plan, tables.plans, problems)
    for name, _, reading in each("customer", CUSTOMER_KEYS, directives.word):
        budget: dict[str, Any] = reading.values
        tables.customers[name] = Budget(
            limits=limits_of(budget, Limits(tasks_max=None)),
            workers_max=budget.get("workers_max"),
        )
    for path, customer in _customers_named(document):
        if len(problems) > PROBLEMS_MAX:
            break  # to compare thousands of names with thousands takes minutes
        _check_customer(document, path, customer, problems)
    if isinstance(default_plan, str):
        path = ("policy", "default_plan")
        _check_plan(document, path, default_plan, tables.plans, problems)
    return tables, problems


def _plan_name(value: object) -> str:
    if value == NO_PLAN:
        raise Invalid('"none" means that there is no plan', "choose another name")
    return directives.word(value)


def _owner_name(value: object) -> str:
    return EVERYBODY if value == EVERYBODY else values.account_name(value)


def _named(
    document: Document, table: str, name: Callable[[object], str], problems: list[Problem]
) -> Iterator[str]:
    """Yield the names of the tables below `table` that are tables and have legal names."""
    content = document.values.get(table)
    if not isinstance(content, dict):
        return
    if len(content) > NAMES_MAX:
        fault = Fault(f"has {len(content)} tables", f"write at most {NAMES_MAX}")
        problems.append(_at(document, (table,), fault))
        return
    for found, value in content.items():
        try:
            name(found)
            if not isinstance(value, dict):
                raise Invalid(f"{described(value)} is not a table", f"write [{table}.{found}]")
        except Invalid as error:
            problems.append(_at(document, (table, found), error.faults[0]))
        else:
            yield found


def _plans_named(read: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    if "plan" in read:
        yield ("plan",), read["plan"]
    for index, plan in enumerate(read.get("plans", ())):
        yield ("plans", index), plan


def _check_plan(
    document: Document, path: Path, plan: str, plans: Mapping[str, Layer], problems: list[Problem]
) -> None:
    written = document.values.get("plan")
    if plan != NO_PLAN and not (isinstance(written, dict) and plan in written):
        problems.append(_at(document, path, unknown_plan(plan, plans)))


def _customers_named(document: Document) -> Iterator[tuple[Path, object]]:
    """Yield every word that is to be the name of a customer: whose budget vassals share."""
    above: list[Path] = [("defaults",)]
    for table in ("plan", "owner"):
        above += [(table, name) for name in _at_path(document.values, (table,))]
    for path in above:
        yield (*path, "limits", "slice"), _at_path(document.values, (*path, "limits")).get("slice")
        if path[0] == "owner":
            yield (*path, "customer"), _at_path(document.values, path).get("customer")


def _check_customer(
    document: Document, path: Path, customer: object, problems: list[Problem]
) -> None:
    # One whose section is wrong is there all the same, and what is no name at all is told of.
    sections = _at_path(document.values, ("customer",))
    if isinstance(customer, str) and directives.WORD.fullmatch(customer):
        if customer not in sections:
            fault = unknown_customer(customer, sections, document.file)
            problems.append(_at(document, path, fault))


def _at(document: Document, path: Path, fault: Fault) -> Problem:
    located, line = document.located(path)
    return Problem(
        file=document.file,
        line=line,
        key=dotted(located or path),
        problem=fault.problem,
        remedy=fault.remedy,
    )


def below(document: Document, path: Path) -> Document:
    """Return one table of a document as a document, its lines included."""
    depth = len(path)
    lines: dict[Path, int] = {
        found[depth:]: line
        for found, line in document.lines.items()
        if found[:depth] == path and len(found) > depth
    }
    return Document(document.file, _at_path(document.values, path), lines)


def _at_path(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the table there; an empty one, if something else or nothing is there."""
    content: object = values
    for part in path:
        content = content.get(str(part)) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def within(problem: Problem, path: Path) -> Problem:
    """Return a problem of a table as one of the whole file."""
    return Problem(
        file=problem.file,
        line=problem.line,
        key=f"{dotted(path)}.{problem.key}",
        problem=problem.problem,
        remedy=problem.remedy,
    )


def layer_of(document: Document) -> Layer:
    """Return a table as it is merged under vassal files."""
    return Layer(
        values=portable(document.values),
        lines={dotted(path): line for path, line in document.lines.items() if len(path) <= 2},
    )


def portable(table: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return the table without Octal, which no JSON keeps: a mode becomes text again."""
    result: dict[str, Any] = {}
    for name, value in table.items():
        key = VASSAL_KEYS.get(section + name)
        if isinstance(value, dict):
            result[name] = portable(value, f"{name}.") if not section else dict(value)
        elif isinstance(value, Octal):
            is_mode = key is not None and key.parse is values.file_mode
            result[name] = f"{value:03o}" if is_mode else int(value)
        else:
            result[name] = value
    return result
