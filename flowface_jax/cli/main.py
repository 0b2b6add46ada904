"""The `flowface` command: parse, dispatch, turn our errors into one line and an exit code."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from flowface_jax.cli import (
    convert,
    demo,
    doctor,
    download,
    evaluate,
    export,
    fit,
    prepare,
    register,
    report,
    synth,
    texture,
    track,
    track_all,
    view,
)
from flowface_jax.compilation import keep_compilations
from flowface_jax.errors import FlowfaceError

COMMANDS = {
    "track": track,
    "track-all": track_all,
    "fit": fit,
    "texture": texture,
    "evaluate": evaluate,
    "report": report,
    "view": view,
    "export": export,
    "synth": synth,
    "prepare": prepare,
    "register": register,
    "demo": demo,
    "convert": convert,
    "download": download,
    "doctor": doctor,
}
INTERRUPTED = 130


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other error of the program."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"flowface: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 unusable input, 3 a missing optional package, 4 a track that
    `--strict` does not accept (its files are written all the same), 5 some videos of a batch failed, 1 any other error.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.ERROR if options.quiet else logging.WARNING, format="flowface: %(message)s", stream=sys.stderr
    )
    # Libraries' own notices (no TPU found, and the like) say nothing that the user of a command can act on.
    for noisy in ("jax", "absl", "orbax"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    keep_compilations()
    try:
        options.run(options)
    except FlowfaceError as error:
        sys.stderr.write(f"flowface: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("flowface: interrupted; run again with --resume to go on where that is offered\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="flowface", description="3D face tracking from video, in JAX.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=OneLineParser)
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        module.add_arguments(command)
        command.add_argument("--quiet", "-q", action="store_true", help="no progress bars, no warnings")
        command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
