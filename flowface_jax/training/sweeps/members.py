"""The members of a sweep: their names and folders, and the file that lists them, to which members are only added."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, write_json
from flowface_jax.training.sweeps.locks import file_lock

MEMBERS, FOLDERS, RUN = "members.json", "members", "run"
_LONGEST_VALUE, _LONGEST_NAME = 40, 180


@dataclasses.dataclass(frozen=True)
class Member:
    """One run of a sweep.

    name: of its folder, unique. config: the file of settings, with ":row" where it has rows. label: how tables call
    the config. settings: all of them, resolved, by section and name. flags: what the training program is given to
    come from the config to the settings.
    """

    name: str
    config: str
    label: str
    settings: Mapping[str, Mapping[str, Any]]
    flags: tuple[str, ...]

    @property
    def flat_settings(self) -> dict[str, Any]:
        """The settings as section.name to value."""
        return {f"{section}.{name}": value for section, part in self.settings.items() for name, value in part.items()}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A folder of runs: members.json, members/NAME/ with each one's state, logs and run/, and the tables.

    program: the training program. workplace: folder that the program is started in, to which relative paths in
    settings are relative.
    """

    folder: Path
    program: Path
    workplace: Path
    members: tuple[Member, ...] = ()

    def folder_of(self, member: Member) -> Path:
        """The folder of a member's state and logs."""
        return self.folder / FOLDERS / member.name

    def run_of(self, member: Member) -> Path:
        """The folder of a member's training run."""
        return self.folder_of(member) / RUN


def member_name(label: str, varied: Mapping[str, Any]) -> str:
    """A readable name of a folder from the config's label and the values of the varied settings.

    What does not belong into the name of a folder is replaced, and a digest keeps the name unique.
    """
    parts = [_safe(label), *(f"{setting}={_safe(_text(value))}" for setting, value in varied.items())]
    name = "__".join(parts)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 9]}-{_digest(name)}"


def add_members(sweep: Sweep, wanted: Sequence[Member]) -> tuple[Sweep, tuple[Member, ...]]:
    """The sweep with the members that it lacked, written to its folder, and which of its members are the wanted ones.

    A member that has the settings of a wanted one is that one, whatever its name. Raises InputError where a name is
    taken by other settings.
    """
    sweep.folder.mkdir(parents=True, exist_ok=True)
    with file_lock(sweep.folder / "members.lock"):
        known = read_sweep(sweep.folder).members if (sweep.folder / MEMBERS).exists() else ()
        members, chosen = list(known), []
        for member in wanted:
            same = next((other for other in members if other.settings == member.settings), None)
            taken = next((other for other in members if other.name == member.name), None)
            if same is None and taken is not None:
                raise InputError(_other_settings(sweep, taken, member))
            if same is None:
                members.append(member)
            chosen.append(same or member)
        sweep = dataclasses.replace(sweep, members=tuple(members))
        write_sweep(sweep)
    return sweep, tuple({member.name: member for member in chosen}.values())


def write_sweep(sweep: Sweep) -> None:
    """Write the list of members into the sweep's folder."""
    values = {
        "program": str(sweep.program),
        "workplace": str(sweep.workplace),
        "members": [dataclasses.asdict(member) for member in sweep.members],
    }
    write_json(sweep.folder / MEMBERS, values)


def read_sweep(folder: str | Path) -> Sweep:
    """The sweep of a folder. Raises InputError where it holds none."""
    folder = Path(folder).absolute()
    path = folder / MEMBERS
    if not path.exists():
        raise InputError(f"{folder} holds no sweep; start one there with --config and --grid")
    values = read_json(path, "members of a sweep")
    try:
        members = tuple(Member(**{**entry, "flags": tuple(entry["flags"])}) for entry in values["members"])
        return Sweep(folder, Path(values["program"]), Path(values["workplace"]), members)
    except (KeyError, TypeError):
        raise InputError(f"{path} is no list of a sweep's members; give the folder of a sweep") from None


def _other_settings(sweep: Sweep, taken: Member, member: Member) -> str:
    theirs, ours = taken.flat_settings, member.flat_settings
    name = next(name for name in sorted(ours) if theirs.get(name) != ours[name])
    return (
        f"{sweep.folder} has a member {taken.name} with {name} = {_text(theirs.get(name))}, asked for "
        f"{_text(ours[name])}; give another folder, or vary {name} with --grid"
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _safe(text: str) -> str:
    """The text with what is trouble in a path or a shell replaced; a digest tells apart what would become the same."""
    plain = re.sub(r"[^A-Za-z0-9.+_-]+", "-", text).strip("-.")[:_LONGEST_VALUE]
    return plain if plain == text.replace(":", "-") else f"{plain}-{_digest(text)}".lstrip("-")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
