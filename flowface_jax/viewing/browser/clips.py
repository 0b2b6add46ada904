"""Pictures of a tracked clip by their number: decoded when wanted, the last ones kept small, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from flowface_jax.aligners import FrameSource
from flowface_jax.aligners.frames import Frame
from flowface_jax.viewing.tiling import limited

LONG_SIDE = 960
"""Larger pictures are scaled down to this: they are sent through the network many times a second."""
MEMORY = 128_000_000
"""Bytes of compressed pictures that are kept of a clip."""
_BEHIND = 48
"""Pictures before a wanted one that are kept when decoding jumps forward, so that stepping back is quick."""
_QUALITY = 90


class ClipPictures:
    """The pictures of one clip. Forward is quick; far backward decodes the clip anew from its beginning."""

    def __init__(self, source: FrameSource, memory: int = MEMORY) -> None:
        self.name = source.info.name
        self._source, self._memory = source, memory
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._frames: Iterator[Frame] | None = None
        self._next = 0
        self._lock = threading.Lock()

    def picture(self, frame_id: int, given_up: Callable[[], bool] = lambda: False) -> np.ndarray | None:
        """The picture [H,W,3] RGB uint8 of a frame, at most `LONG_SIDE` px; None where the clip has no such frame, or
        where `given_up` says, asked between pictures, that it is no longer wanted.
        """
        with self._lock:
            if frame_id not in self._kept:
                self._decode_until(frame_id, given_up)
            if frame_id not in self._kept:
                return None
            self._kept.move_to_end(frame_id)
            encoded = np.frombuffer(self._kept[frame_id], np.uint8)
        return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Let go of the file; the next picture opens it again."""
        with self._lock:
            self._frames = None

    def _decode_until(self, frame_id: int, given_up: Callable[[], bool]) -> None:
        if self._frames is None or frame_id < self._next:
            self._frames, self._next = iter(self._source), 0
        for frame in self._frames:
            self._next = frame.frame_id + 1
            if frame.frame_id > frame_id - _BEHIND:
                self._keep(frame)
            if frame.frame_id >= frame_id or given_up():
                return

    def _keep(self, frame: Frame) -> None:
        small = np.ascontiguousarray(limited(frame.image, LONG_SIDE)[0][..., ::-1])
        encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
        self._bytes += len(encoded) - len(self._kept.pop(frame.frame_id, b""))
        self._kept[frame.frame_id] = encoded
        while self._bytes > self._memory and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])
