"""What is wrong with a command that a page shows: unknown options, scripts, configs, settings, targets, extras."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import shlex
import sys
import tomllib
import unittest.mock
from collections.abc import Callable
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from flowface_jax.cli.main import _parser
from flowface_jax.errors import FlowfaceError
from flowface_jax.exporting.targets import TARGETS
from flowface_jax.fitting.config import config_from_mapping
from flowface_jax.settings import settings_from
from flowface_jax.training.experiment import as_training_config
from tests.docs.blocks import ROOT

_FORM = re.compile(r"…|\s\[|\|")
"""Marks of a form (`flowface view TRACK [TRACK ...]`, `a|b`) rather than of a command."""
_ENVIRONMENT = re.compile(r"^(?:[A-Z_]+=\S+\s+)+")
_COMMON = {"--help"}


def problem_of(text: str, is_form: bool | None = None) -> str | None:
    """What is wrong with a line, or None where it is right or no command of ours."""
    text = _ENVIRONMENT.sub("", text.strip())
    if is_form is None:
        is_form = bool(_FORM.search(text.partition("#")[0]))
    if is_form:
        text = text.replace("[", " ").replace("]", " ")
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        return f"not a command line: {error}" if _checker(text.split()) else None
    checker = _checker(words)
    return checker(words, is_form) if checker else None


def _checker(words: list[str]) -> Callable[[list[str], bool], str | None] | None:
    """What checks a line that begins so; None for lines that are not ours."""
    if not words:
        return None
    if words[0].rpartition("/")[2] == "flowface" and len(words) > 1:
        return _flowface
    if words[0] in ("python", "python3") and len(words) > 1 and words[1].endswith(".py"):
        return _script
    return {"make": _make, "pip": _pip}.get(words[0])


def _flowface(words: list[str], is_form: bool) -> str | None:
    """Parsed by the command line's own parser; of forms, only command and options are looked at."""
    parser = _parser()
    commands = parser._subparsers._group_actions[0].choices
    if words[1] not in commands:
        return f"no command '{words[1]}'; there are {', '.join(commands)}"
    if is_form:
        known = {option for action in commands[words[1]]._actions for option in action.option_strings}
        nested = [action.choices.values() for action in commands[words[1]]._actions if _has_parsers(action)]
        known |= {o for parsers in nested for parser in parsers for a in parser._actions for o in a.option_strings}
        return _unknown(words[2:], known)
    try:
        options = parser.parse_args(words[1:])
    except SystemExit:
        return "the command line does not parse"
    return _settings(words[1], options)


def _has_parsers(action: object) -> bool:
    return isinstance(getattr(action, "choices", None), dict) and hasattr(action, "_name_parser_map")


def _settings(command: str, options: object) -> str | None:
    """Whether what `--set` names exists and takes the value."""
    for item in getattr(options, "set", None) or []:
        section, _, rest = item.partition(".")
        name, _, value = rest.partition("=")
        if name == "NAME":
            continue
        try:
            if command == "export":
                settings_from(TARGETS[section].settings, {name: value}, section)
            elif section == "fit":
                config_from_mapping({name: value})
            elif section not in ("cuts", "people"):
                return f"--set {item}: no section '{section}'"
        except (FlowfaceError, KeyError) as error:
            return f"--set {item}: {error}"
    return None


def _script(words: list[str], is_form: bool) -> str | None:
    """A script of the repository: it exists, and its source names the options; configs and their fields exist."""
    path = ROOT / words[1]
    if not path.is_file():
        return f"no file {words[1]}"
    if path.name == "train.py" and path.parent.name == "experiments":
        return _training(words[2:])
    return _unknown(words[2:], options_in(path)) or _missing_configs(words[2:])


def _training(words: list[str]) -> str | None:
    """The flags of experiments/train.py, read as it reads them: the config's file, its row, and fields by name."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "Settings.", flag_values=values, lock_config=True)
    for name in ("out", "processes"):
        flags.DEFINE_string(name, None, "As in the program.", flag_values=values)
    arguments = ["train.py", *(word.replace("=configs/", f"={ROOT}/configs/") for word in words)]
    try:
        # Fields are looked for in the program's own arguments, whatever is parsed.
        with unittest.mock.patch.object(sys, "argv", arguments):
            values(arguments)
        config = as_training_config(values.config)
    except (flags.Error, FlowfaceError, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        return str(error)
    lists = [value for section in config.to_mapping().values() for value in section.values() if isinstance(value, list)]
    joined = [item for value in lists for item in value if isinstance(item, str) and "," in item]
    return f"'{joined[0]}' is one entry; write a tuple in quotes" if joined else None


def _missing_configs(words: list[str]) -> str | None:
    """Configs that are named and not there, or have no such row."""
    for word in words:
        for name in re.findall(r"configs/\w+\.py(?::\w+)?", word):
            file, _, row = name.partition(":")
            if not (ROOT / file).is_file():
                return f"no config {file}"
            if row and row != "ROW":
                try:
                    _config(ROOT / file).get_config(row)
                except ValueError as error:
                    return f"{name}: {error}"
    return None


@functools.cache
def _config(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(f"docs_config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def options_in(path: Path) -> frozenset[str]:
    """The options that a script and the modules beside it name: every literal that looks like one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"--[a-z][\w-]*", node.value)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                for place in (ROOT / f"{name.replace('.', '/')}.py", path.parent / f"{name.rpartition('.')[2]}.py"):
                    if place.is_file() and place != path and name.split(".")[0] != "flowface_jax":
                        found |= options_in(place)
                package = ROOT / name.replace(".", "/")
                if name.startswith("experiments.") and package.is_dir():
                    found = found.union(*(options_in(module) for module in package.glob("*.py")))
    return frozenset(found)


def _unknown(words: list[str], known: set[str] | frozenset[str]) -> str | None:
    named = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    unknown = [name for name in named if name not in known | _COMMON]
    return f"no option {unknown[0]}" if unknown else None


def _make(words: list[str], is_form: bool) -> str | None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    missing = [word for word in words[1:] if "=" not in word and word not in targets]
    return f"no target {missing[0]}" if missing else None


def _pip(words: list[str], is_form: bool) -> str | None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for word in words:
        for extra in ",".join(re.findall(r"^(?:\.|flowface-jax)\[([\w,]+)\]$", word)).split(","):
            if extra and extra not in project["optional-dependencies"]:
                return f"no extra '{extra}'"
    return None
