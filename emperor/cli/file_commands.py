"""The commands about vassal files: check and schema."""

import argparse
import json
import sys

from emperor.cli.errors import DONE, FAILED
from emperor.config.check import check_files
from emperor.config.schema import vassal_schema


def check(arguments: argparse.Namespace) -> int:
    """Print everything that is wrong with the files."""
    problems = check_files(arguments.files)
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAILED if problems else DONE


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of a vassal file."""
    print(json.dumps(vassal_schema(), indent=2))
    return DONE


COMMANDS = {"check": check, "schema": schema}
