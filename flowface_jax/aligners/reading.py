"""Reading ahead: decoding goes on in other threads while the caller works, and never runs far ahead of it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from flowface_jax.aligners.frames import Frame, FrameSource

S, T = TypeVar("S"), TypeVar("T")

_PATIENCE_S = 0.1


@contextmanager
def read_ahead(source: Iterable[T], count: int) -> Iterator[Iterator[T]]:
    """The same items in the same order, up to `count` of them ready before they are asked for.

    What the source raises is raised where its item would have come. The thread ends with the block.
    """
    items: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=max(count, 1))
    over = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not over.is_set():
            try:
                items.put((kind, value), timeout=_PATIENCE_S)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        try:
            for item in source:
                if not put("item", item):
                    return
                # The reader holds no item while it waits for the next one.
                del item
            put("end", None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller's thread is the place to raise it
            put("error", error)

    def take() -> Iterator[T]:
        while True:
            kind, value = items.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
            del value

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        with closing(take()) as taken:
            yield taken
    finally:
        over.set()
        thread.join()


def worked_ahead(work: Callable[[S], T], items: Iterable[S], workers: int) -> Iterator[T]:
    """`work` of every item, in order, on so many threads; as many results again may wait to be asked for."""
    with ThreadPoolExecutor(workers, thread_name_prefix="worked ahead") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                del item
                if len(waiting) == 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def side_by_side(cameras: Sequence[Iterator[Frame]]) -> Iterator[tuple[int, int, Frame]]:
    """(camera, number of the frame, frame) of several sources: frame 0 of all cameras, then frame 1, …, to the end of
    the longest.
    """
    open_cameras = dict(enumerate(cameras))
    number = 0
    while open_cameras:
        for c in list(open_cameras):
            frame = next(open_cameras[c], None)
            if frame is None:
                del open_cameras[c]
            else:
                yield c, number, frame
        number += 1


def in_order(sources: Sequence[FrameSource]) -> Iterator[tuple[int, int, Frame]]:
    """`side_by_side` without threads."""
    return side_by_side([iter(source) for source in sources])
