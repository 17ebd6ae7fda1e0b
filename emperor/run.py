"""`emperor run`: becomes the spawner of an emperor over some directories."""

from pathlib import Path


def run_emperor(config_file: str | None, runtime_dir: str | None, directories: list[str]) -> int:
    """Run in the foreground until stopped; return the exit status.

    Nothing is read here: this process becomes the spawner, and the emperor that it
    starts reads `config_file` and watches the directories named in it and here.
    """
    from emperor.spawner.spawner import Spawner

    arguments = []
    if config_file is not None:
        arguments += ["--config", str(Path(config_file).absolute())]
    if runtime_dir is not None:
        arguments += ["--runtime-dir", str(Path(runtime_dir).absolute())]
    arguments += [str(Path(directory).absolute()) for directory in directories]
    return Spawner(arguments).run()
