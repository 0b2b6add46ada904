"""The sound of a clip as a WAV file that fits the track's frames."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from flowface_jax.errors import InputError

_BYTES = 2


def has_sound(path: Path) -> bool:
    """Whether the file holds sound. Raises InputError where it cannot be read."""
    with _opened(path) as container:
        return bool(container.streams.audio)


def write_wav(path: Path, source: Path, start_s: float, end_s: float, rate: int) -> None:
    """What the source sounds like from start_s to end_s, seconds after its first picture (or sound, where it has no
    picture), as one channel of 16 bit at `rate` per second.

    Silence where the source has nothing. Raises InputError where it holds no sound or cannot be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    total = max(0, round((end_s - start_s) * rate))
    written = 0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(_BYTES)
        file.setframerate(rate)
        for time, samples in _pieces(source, rate):
            first = round((time - start_s) * rate)
            if first < written:
                samples = samples[written - first :]
            elif first > written:
                silence = min(first, total) - written
                file.writeframes(bytes(_BYTES * max(0, silence)))
                written += max(0, silence)
            kept = samples[: total - written]
            file.writeframes(kept.astype("<i2").tobytes())
            written += len(kept)
            if written >= total:
                break
        file.writeframes(bytes(_BYTES * (total - written)))


def _pieces(source: Path, rate: int) -> Iterator[tuple[float, np.ndarray]]:
    """Times, s, and samples [n] int16 of one channel."""
    with _opened(source) as container:
        if not container.streams.audio:
            raise InputError(f"{source} holds no sound; name a file that does")
        origin = _first_picture(source) if container.streams.video else None
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        time = None
        try:
            for decoded in container.decode(audio=0):
                if time is None:
                    first = float(decoded.time or 0.0)
                    time = first - (first if origin is None else origin)
                for piece in resampler.resample(decoded):
                    samples = piece.to_ndarray().reshape(-1)
                    yield time, samples
                    time += len(samples) / rate
            for piece in resampler.resample(None):
                samples = piece.to_ndarray().reshape(-1)
                yield time or 0.0, samples
                time = (time or 0.0) + len(samples) / rate
        except av.FFmpegError as error:
            raise InputError(f"the sound of {source} is damaged ({error.strerror}); convert it to WAV") from None


def _first_picture(source: Path) -> float:
    """The first picture's time, s."""
    with _opened(source) as container:
        picture = next(container.decode(video=0), None)
        return float(picture.time or 0.0) if picture is not None else 0.0


def _opened(path: Path) -> av.container.InputContainer:
    try:
        return av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError):
        raise InputError(f"{path} cannot be read as sound or film; check the path, or convert it to WAV") from None
