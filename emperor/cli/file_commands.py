"""The commands about vassal files: check and schema."""

import argparse
import json
import sys

from emperor.cli.errors import DONE, FAILED
from emperor.config.check import check_files, read_emperor
from emperor.config.schema import emperor_schema, vassal_schema


def check(arguments: argparse.Namespace) -> int:
    """Print everything that is wrong with the files."""
    emperor = read_emperor(arguments.config) if arguments.config is not None else None
    if isinstance(emperor, list):
        problems = emperor  # what its plans say is not known: nothing else can be judged
    else:
        problems = check_files(arguments.files, emperor, arguments.owner)
    for problem in problems:
        print(problem, file=sys.stderr)
    return FAILED if problems else DONE


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of a vassal file, or of the emperor's own."""
    print(json.dumps(emperor_schema() if arguments.emperor else vassal_schema(), indent=2))
    return DONE


COMMANDS = {"check": check, "schema": schema}
