"""Prints the completion of `emperor` for bash, made from its own command line.

python packaging/completion/bash.py >/usr/share/bash-completion/completions/emperor
"""

import argparse
import sys

from emperor.cli.main import build_parser

SCRIPT = """\
# bash completion for emperor(1). Made by packaging/completion/bash.py.

_emperor_vassals() {{
    # Names from the running emperor: each user gets those that he may steer.
    emperor status --json 2>/dev/null </dev/null |
        sed -n 's/^ *"name": *"\\([^"]*\\)".*/\\1/p'
}}

_emperor() {{
    local word=$2 previous=$3 command="" options="" valued="" arguments="" i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == -* ]] || {{ command=${{COMP_WORDS[i]}}; break; }}
    done
    case $command in
        "") mapfile -t COMPREPLY < <(compgen -W "{commands} --help" -- "$word"); return ;;
{cases}
        *) return ;;
    esac
    # The value of an option, if it takes one. Values that are no path cannot be guessed.
    if [[ " $valued " == *" $previous "* ]]; then
        case $previous in
            {path_options}) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        esac
        return
    fi
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
        return
    fi
    case $arguments in
        vassal) mapfile -t COMPREPLY < <(compgen -W "$(_emperor_vassals)" -- "$word") ;;
        path) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    esac
}}

complete -o filenames -F _emperor emperor
"""

CASE = '        {name})\n            options="{options}"\n            valued="{valued}"\n\
            arguments={arguments} ;;'

ARGUMENTS = {"NAME": "vassal", "FILE": "path", "DIR": "path"}
"""What a positional argument is, by its metavar; what is not here is not completed."""

PATHS = ("DIR", "FILE", "PATH")


def script() -> str:
    """Return the completion as a script."""
    parsers = commands()
    paths = {
        word
        for parser in parsers.values()
        for action in parser._actions
        for word in action.option_strings
        if action.metavar in PATHS
    }
    return SCRIPT.format(
        commands=" ".join(parsers),
        cases="\n".join(case(name, parser) for name, parser in parsers.items()),
        path_options=" | ".join(sorted(paths)),
    )


def case(name: str, parser: argparse.ArgumentParser) -> str:
    """Return what is special to one command."""
    options = [word for action in parser._actions for word in action.option_strings]
    valued = [
        word for action in parser._actions if action.nargs != 0 for word in action.option_strings
    ]
    positionals = [action.metavar for action in parser._actions if not action.option_strings]
    kind = ARGUMENTS.get(str(positionals[0]), '""') if positionals else '""'
    return CASE.format(
        name=name, options=" ".join(options), valued=" ".join(valued), arguments=kind
    )


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command, the options of `serve` included."""
    for action in build_parser(["serve"])._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise LookupError("no commands")


if __name__ == "__main__":
    sys.stdout.write(script())
