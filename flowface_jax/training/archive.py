"""The common record folder: shards of samples with random access beside one description; what training reads."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, write_json
from flowface_jax.training.records import decode_sample, encode_sample
from flowface_jax.training.samples import Sample

FORMAT = "flowface-samples/1"
ABOUT, REQUEST = "about.json", "request.json"
_KIND = "a folder of training samples (flowface prepare)"
_WRITER = "group_size:1,uncompressed"
"""One record to a group: random access reads nothing else. Samples are compressed already."""
_READER = "readahead_buffer_size:0"
MOST_OPEN = 256
"""Shards of an archive that are held open."""
MOST_DAMAGED = 64
"""Damaged records in a row after which an archive is given up."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ArchiveKind:
    """What all samples of a folder have in common.

    dataset: where they are from. head: name of the head model. vertices: V. side: px of the crops. settings: everything
    that decided about the samples, as plain values.
    """

    dataset: str
    head: str
    vertices: int
    side: int
    settings: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """As it stands in the files."""
        return {
            "format": FORMAT,
            "conventions": CONVENTIONS,
            "dataset": self.dataset,
            "head": self.head,
            "vertices": self.vertices,
            "side": self.side,
            "settings": dict(self.settings),
        }


class ArchiveWriter:
    """Writes a folder shard by shard, in any order and from several threads; `finish` makes it an archive.

    A shard appears under its name when it is complete, so that a killed job goes on with the shards that are missing;
    the description is written last. The bytes do not depend on how often the job was interrupted.
    """

    def __init__(self, folder: Path, kind: ArchiveKind, shards: int) -> None:
        self.folder, self.kind, self.shards = folder, kind, shards

    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be written."""
        return [shard for shard in range(self.shards) if not self._tally(shard).is_file()]

    def write_shard(self, shard: int, samples: Iterable[Sample], refused: Counter[str]) -> int:
        """Write one shard and return its number of samples; `refused` counts reasons and is read at the end.

        Raises InputError for a sample of another head or side.
        """
        target = self.folder / shard_name(shard)
        part = target.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        count = 0
        try:
            with _writing(part, target) as write:
                for sample in samples:
                    self._check(sample)
                    write(encode_sample(sample))
                    count += 1
            if not _reads_back(part, count):
                raise InputError(f"{target} was not written completely; is the disk full? Free space and run again")
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        os.replace(part, target)
        _write_description(
            self._tally(shard), {"count": count, "bytes": target.stat().st_size, "refused": dict(refused)}
        )
        return count

    def finish(self) -> dict[str, Any]:
        """Write the description, clean up, and return it. Raises InputError where a shard is missing or none has a
        sample.
        """
        if self.missing():
            raise InputError(f"{self.folder}: {len(self.missing())} of {self.shards} shards are not written")
        tallies = [read_json(self._tally(shard), "the tally of a shard") for shard in range(self.shards)]
        refused: Counter[str] = Counter()
        for tally in tallies:
            refused.update(tally["refused"])
        total = sum(tally["count"] for tally in tallies)
        if not total:
            # Nothing is worth keeping, and a second try is not to go on with empty shards.
            for name in _own_files(self.folder):
                (self.folder / name).unlink()
            reasons = "; ".join(f"{reason}: {count}" for reason, count in refused.most_common(5)) or "no photograph"
            raise InputError(f"{self.folder}: not one sample could be made ({reasons}); check the data set's folder")
        about = self.kind.record() | {
            "count": total,
            "shards": [
                {"file": shard_name(shard), "count": tally["count"], "bytes": tally["bytes"]}
                for shard, tally in enumerate(tallies)
            ],
            "refused": dict(refused),
        }
        _write_description(self.folder / ABOUT, about)
        for shard in range(self.shards):
            self._tally(shard).unlink()
        (self.folder / REQUEST).unlink(missing_ok=True)
        return about

    def _tally(self, shard: int) -> Path:
        return self.folder / f"{shard_name(shard)}.json"

    def _check(self, sample: Sample) -> None:
        found = (sample.head, len(sample.points), sample.side)
        if found != (self.kind.head, self.kind.vertices, self.kind.side):
            raise InputError(
                f"a sample of head {found[0]} ({found[1]} vertices, {found[2]} px) does not belong in {self.folder}: "
                f"expected {self.kind.head} ({self.kind.vertices} vertices, {self.kind.side} px)"
            )


def open_writer(
    folder: str | os.PathLike[str], kind: ArchiveKind, shards: int, overwrite: bool = False
) -> ArchiveWriter:
    """A writer into a new folder, or into one where the same job was interrupted: its finished shards are kept.

    Raises InputError where the folder holds a finished archive, another job's shards, or anything else, unless
    `overwrite`, which deletes archives (only).
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file; name a folder")
    request = kind.record() | {"shard_count": shards}
    content = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    ours = _own_files(folder)
    if content - ours:
        raise InputError(f"{folder} holds other files ({sorted(content - ours)[0]}); name an empty or a new folder")
    if ABOUT in content and not overwrite:
        raise InputError(f"{folder} holds a finished archive; name another folder, or pass --overwrite")
    resumes = bool(content) and ABOUT not in content and not overwrite and _same_request(folder, request)
    if content and not (resumes or overwrite):
        raise InputError(
            f"{folder} holds the unfinished archive of another job (other data or settings); run that one again, name "
            "another folder, or pass --overwrite"
        )
    # In order: without its description, which comes first, a half-deleted archive is none.
    for name in sorted(ours):
        if not resumes or name.endswith(".part") or name.startswith("."):
            (folder / name).unlink()
    _write_description(folder / REQUEST, request)
    return ArchiveWriter(folder, kind, shards)


def shard_name(shard: int) -> str:
    """The file of a shard."""
    return f"samples-{shard:05d}.arrayrecord"


def _write_description(path: Path, value: dict[str, Any]) -> None:
    """Write JSON, its folder made where needed. Raises InputError where the disk is full or the folder is read-only."""
    try:
        write_json(path, value)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); free space, or choose another folder, and run again"
        ) from None


@contextlib.contextmanager
def _writing(part: Path, target: Path) -> Iterator[Callable[[bytes], None]]:
    """A function that appends a record to a new file. Raises InputError where the disk takes no more."""
    writer = ArrayRecordWriter(str(part), _WRITER)

    def attempt(action: Callable[..., object], *arguments: bytes) -> None:
        try:
            action(*arguments)
        except RuntimeError as error:
            reason = str(error).partition(";")[0]
            raise InputError(f"{target} cannot be written ({reason}); free space on the disk and run again") from None

    try:
        yield lambda record: attempt(writer.write, record)
    except BaseException:
        # What went wrong is told, not that the file cannot be closed either.
        with contextlib.suppress(RuntimeError):
            writer.close()
        raise
    attempt(writer.close)


def _reads_back(path: Path, count: int) -> bool:
    """Whether a shard has so many records, the last of them readable."""
    try:
        reader = ArrayRecordReader(str(path), _READER)
        return reader.num_records() == count and (not count or bool(reader.read([count - 1])))
    except (RuntimeError, ValueError, IndexError):
        return False


class Archive:
    """A finished folder of samples, read at random; safe to use from several threads.

    folder, about: where it is, and its description. Shards are opened when first read; the last ones used stay open.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, about
        self._ends = np.cumsum([shard["count"] for shard in about["shards"]])
        # Every open shard costs a file handle and a thread. One that leaves the cache lives until it has been read.
        self._reader = functools.lru_cache(MOST_OPEN)(functools.partial(_open_shard, folder, about))

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def head(self) -> str:
        return self.about["head"]

    @property
    def vertex_count(self) -> int:
        return int(self.about["vertices"])

    @property
    def side(self) -> int:
        return int(self.about["side"])

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, or, where its record is damaged, the next good one (with a warning): always the same.

        Raises IndexError, and InputError where too many records in a row are damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"expected a sample from 0 to {len(self) - 1}, found {index}")
        for step in range(min(len(self), MOST_DAMAGED)):
            try:
                return self.read(int(index + step) % len(self))
            except InputError as error:
                logger.warning("%s; the next sample takes its place", error)
        raise InputError(f"{self.folder}: {MOST_DAMAGED} records from {index} on are damaged; prepare the folder again")

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def read(self, index: int) -> Sample:
        """Sample `index` itself. Raises InputError where its record is damaged."""
        shard = int(np.searchsorted(self._ends, index, side="right"))
        place = index - (int(self._ends[shard - 1]) if shard else 0)
        file = self.about["shards"][shard]["file"]
        try:
            sample = decode_sample(self._reader(shard).read([place])[0])
        except (RuntimeError, ValueError, IndexError, InputError) as error:
            reason = (str(error).splitlines() or [""])[0][:120]
            raise InputError(f"{self.folder / file}: record {place} is damaged ({reason})") from None
        if (sample.head, len(sample.points), sample.side) != (self.head, self.vertex_count, self.side):
            raise InputError(f"{self.folder / file}: record {place} is of another head or size than the archive")
        return sample


def _open_shard(folder: Path, about: Mapping[str, Any], shard: int) -> Any:
    return ArrayRecordReader(str(folder / about["shards"][shard]["file"]), _READER)


def open_archive(folder: str | os.PathLike[str]) -> Archive:
    """The archive in a folder, checked: description, presence, size and number of records of every shard.

    Raises InputError naming the first thing that is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; expected {_KIND}")
    if not (folder / ABOUT).is_file():
        if (folder / REQUEST).is_file():
            raise InputError(f"{folder} is not finished; run flowface prepare again with the same options")
        raise InputError(f"{folder} holds no {ABOUT}; expected {_KIND}")
    about = read_json(folder / ABOUT, "the description of training samples")
    _check_about(folder, about)
    for shard in about["shards"]:
        path = folder / shard["file"]
        if not path.is_file():
            raise InputError(f"{path} is missing; copy the folder again, or prepare it again")
        if path.stat().st_size != shard["bytes"]:
            raise InputError(
                f"{path} has {path.stat().st_size} bytes, expected {shard['bytes']}; copy the folder again, or prepare "
                "it again"
            )
    return Archive(folder, about)


def _own_files(folder: Path) -> set[str]:
    """Names of the files in a folder that are an archive's: finished, unfinished, or half-written (hidden)."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {name for name in names if name.lstrip(".").startswith(("samples-", ABOUT, REQUEST))}


def _same_request(folder: Path, request: dict[str, Any]) -> bool:
    """Whether the folder's unfinished job is this one; compared as JSON, in which alone the old one is known."""
    known = (folder / REQUEST).is_file()
    return known and read_json(folder / REQUEST, "the request of a job") == json.loads(json.dumps(request))


def _check_about(folder: Path, about: Any) -> None:
    path = folder / ABOUT
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else type(about).__name__
        raise InputError(f'{path}: expected "format": "{FORMAT}", found {found!r}; prepare the data set again')
    if about.get("conventions") != CONVENTIONS:
        raise InputError(f"{path} follows other conventions than this version; prepare the data set again")
    try:
        shards = [(str(s["file"]), int(s["count"]), int(s["bytes"])) for s in about["shards"]]
        sound = min(int(about["vertices"]), int(about["side"]), sum(count for _, count, _ in shards)) > 0
        sound &= isinstance(about["head"], str) and all(name == Path(name).name for name, _, _ in shards)
        sound &= all(count >= 0 for _, count, _ in shards)
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise InputError(f"{path} is damaged: it lacks samples, shards, head or side; prepare the data set again")
