"""Score what any tracker wrote: motion, surfaces, alignments, pictures and speech, as the field measures them."""

from __future__ import annotations

import argparse

from flowface_jax.cli.evaluating import benchmarks, meshes, pictures, speech
from flowface_jax.cli.evaluating.output import add_output_arguments, check_output

MEASURES = {
    "ssme": meshes.Ssme,
    "chamfer": meshes.Chamfer,
    "now": benchmarks.Now,
    "facescape": benchmarks.Facescape,
    "nme": pictures.Nme,
    "avatar": pictures.Avatar,
    "lips": speech.Lips,
    "jitter": meshes.Jitter,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The measures of `flowface evaluate`, a command each."""
    measures = parser.add_subparsers(title="measures", metavar="MEASURE", required=True)
    for name, measure in MEASURES.items():
        summary = (measure.__doc__ or "").strip().splitlines()[0]
        command = measures.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        measure.add_arguments(command)
        add_output_arguments(command)
        command.set_defaults(measure=measure)


def run(options: argparse.Namespace) -> None:
    """Check where results go, then measure, write and print."""
    check_output(options)
    options.measure.run(options)
