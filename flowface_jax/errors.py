"""The few error types of the package: each carries one line that says what to do next."""

from __future__ import annotations


class FlowfaceError(Exception):
    """Base of every error that a user can cause and mend; `exit_code` is what the command line returns."""

    exit_code = 1


class InputError(FlowfaceError):
    """An input file, value or option is wrong: what was expected, what was found, what to do."""

    exit_code = 2


class MissingAssetError(InputError):
    """A file that the user must fetch (a licensed head, a checkpoint) is not where it was looked for."""


class MissingDependencyError(FlowfaceError):
    """An optional package is needed for this call and is not installed."""

    exit_code = 3


class VerdictError(FlowfaceError):
    """`--strict` was asked for and the track's verdict is below "usable"; the results have been written."""

    exit_code = 4


class BatchError(FlowfaceError):
    """Some videos of a batch could not be tracked; the others are done, and the results have been written."""

    exit_code = 5
