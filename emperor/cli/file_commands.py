"""The commands about vassal files: check and schema."""

import argparse
import json
import sys

from emperor.cli.check import check_files, read_emperor
from emperor.cli.errors import DONE, FAILED
from emperor.cli.uwsgi_commands import print_verdicts
from emperor.config.schema import emperor_schema, vassal_schema
from emperor.config.settings import Remark


def check(arguments: argparse.Namespace) -> int:
    """Print everything that is wrong with the files, and what becomes of uWSGI's options."""
    emperor = read_emperor(arguments.config) if arguments.config is not None else None
    if isinstance(emperor, list):
        problems = emperor  # what its plans say is not known: nothing else can be judged
    else:
        problems = check_files(
            arguments.files, emperor, arguments.owner, print_verdicts, print_remark
        )
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAILED if problems else DONE


def print_remark(path: str, remark: Remark) -> None:
    """Print what a file asks for and does not get."""
    print(f"{path}: {remark.key}: {remark.reason}")


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of a vassal file, or of the emperor's own."""
    print(json.dumps(emperor_schema() if arguments.emperor else vassal_schema(), indent=2))
    return DONE


COMMANDS = {"check": check, "schema": schema}
