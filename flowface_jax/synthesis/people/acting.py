"""What a person does over time: speaking, feeling, blinking, looking about, moving the head. Curves on the host."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from flowface_jax.synthesis.people.assets import PeopleAssets
from flowface_jax.synthesis.people.repertoire import CLOSED_VISEMES

SYLLABLE_RATE = (4.0, 6.0)
"""Syllables per second of a phrase."""
BLINK_INTERVAL = (1.5, 5.0)
BLINK_CLOSING, BLINK_SHUT, BLINK_OPENING = (0.10, 0.15), (0.02, 0.06), (0.15, 0.28)
"""Seconds."""
HEAD_SPREAD = (18.0, 10.0, 6.0)
"""Degrees, standard deviation of yaw, pitch and roll."""
HEAD_SECONDS = 0.8
"""Seconds on which the head changes its pose."""
_FIXATION = (0.25, 1.7)
_LARGE_TURN = 40.0
_LARGE_TURN_EVERY = 7.0
_EMOTION_PAUSE = (0.4, 2.5)


@dataclasses.dataclass(frozen=True)
class Acting:
    """Curves over F frames, before `faces.pose_face` makes them consistent. expression: [F,E]. jaw: [F,3] rad.
    closure: [F,2] 0..1. gaze_yaw, gaze_pitch: [F] rad in the head's frame, gaze_distance: [F] m.
    head_angles: [F,3] rad, yaw, pitch, roll as in `poses.HeadPose`. torso_angles: [F,3] rad.
    """

    expression: np.ndarray
    jaw: np.ndarray
    closure: np.ndarray
    gaze_yaw: np.ndarray
    gaze_pitch: np.ndarray
    gaze_distance: np.ndarray
    head_angles: np.ndarray
    torso_angles: np.ndarray


def act(assets: PeopleAssets, frames: int, frame_rate: float, random: np.random.Generator) -> Acting:
    """A performance of `frames` frames: speech in phrases, emotions that come and go, blinks, saccades, head motion."""
    time = np.arange(frames) / frame_rate
    angles = _head_angles(time, frame_rate, random)
    speech, speaking, openness = _speech(assets, time, random)
    if assets.statistical:
        expression = _coefficients(assets, frames, frame_rate, random)
    else:
        feelings = _emotions(assets, time, random) + _brows(assets, time, frame_rate, speaking, random)
        expression = np.maximum(feelings * (1.0 - 0.45 * speaking[:, None]), speech)
    jaw = np.zeros((frames, 3))
    jaw[:, 0] = (0.01 + 0.22 * openness) * assets.statistical
    yaw, pitch, distance, jumps = _gaze(time, angles, random)
    own = np.radians([5.0, 1.5, 1.5]) * smooth(random, frames, 3, 1.8, frame_rate)
    followed = gaussian_filter1d(angles * [0.4, 0.05, 0.1], 0.35 * frame_rate, axis=0, mode="nearest")
    return Acting(expression, jaw, _blinks(time, jumps, random), yaw, pitch, distance, angles, followed + own)


def smooth(random: np.random.Generator, frames: int, channels: int, seconds: float, frame_rate: float) -> np.ndarray:
    """Smooth random curves [F,channels] of unit spread that change on the scale of `seconds`."""
    width = 0.5 * seconds * frame_rate
    margin = int(4 * width) + 1
    curves = gaussian_filter1d(random.normal(size=(frames + 2 * margin, channels)), width, axis=0)
    # The spread of filtered noise is known; measuring it on a short curve would not be.
    return (curves * np.sqrt(2.0 * np.sqrt(np.pi) * max(width, 0.3)))[margin : margin + frames]


def _ramp(time: np.ndarray, start: float, rise: float, hold: float, fall: float) -> np.ndarray:
    """[F] 0, smoothly up to 1 from `start`, and back."""
    up = np.clip((time - start) / rise, 0, 1)
    down = np.clip((time - start - rise - hold) / fall, 0, 1)
    return up * up * (3 - 2 * up) * (1 - down * down * (3 - 2 * down))


def _head_angles(time: np.ndarray, frame_rate: float, random: np.random.Generator) -> np.ndarray:
    """[F,3] rad: posture, the small nods of a talking person, and now and then a turn far to a side."""
    frames = len(time)
    angles = np.radians(HEAD_SPREAD) * smooth(random, frames, 3, HEAD_SECONDS, frame_rate).clip(-2.2, 2.2)
    angles += np.radians([0.8, 1.4, 0.5]) * smooth(random, frames, 3, 0.28, frame_rate)
    start = random.exponential(_LARGE_TURN_EVERY) + 0.5
    while start < time[-1]:
        side = np.radians(random.choice([-1, 1]) * random.uniform(0.5, 1.0) * _LARGE_TURN)
        angles[:, 0] += side * _ramp(time, start, random.uniform(0.5, 0.9), random.uniform(0.2, 1.0), 0.8)
        start += 2.5 + random.exponential(_LARGE_TURN_EVERY)
    return angles


def _speech(
    assets: PeopleAssets, time: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mouth shapes [F,E], how much is being spoken [F] and how open the mouth is [F].

    Phrases of syllables, each a consonant and a vowel; every sound dominates its moment and reaches into its
    neighbours, as in co-articulated speech.
    """
    names = assets.viseme_names
    closed = [i for i, name in enumerate(names) if name in CLOSED_VISEMES] or [0]
    open_ones = [i for i, name in enumerate(names) if name not in CLOSED_VISEMES] or [0]
    visemes = np.asarray(assets.visemes)
    total, mouth = np.full(len(time), 0.15), np.zeros((len(time), visemes.shape[1]))
    speaking, openness = np.zeros(len(time)), np.zeros(len(time))
    now = random.uniform(-1.0, 0.4)
    while now < time[-1] + 0.3:
        syllables, pace, loud = random.integers(4, 16), random.uniform(*SYLLABLE_RATE), random.uniform(0.8, 1.6)
        speaking = np.maximum(speaking, _ramp(time, now - 0.15, 0.2, syllables / pace, 0.3))
        for _ in range(syllables):
            length = random.uniform(0.8, 1.25) / pace
            stress = loud * random.uniform(0.6, 1.3)
            for pool, at, width in ((closed, 0.1, 0.14), (open_ones, 0.58, 0.24)):
                weight = np.exp(-0.5 * ((time - now - at * length) / (width * length)) ** 2)
                total += weight
                mouth += (stress if pool is open_ones else 1.0) * weight[:, None] * visemes[random.choice(pool)]
                openness += stress * weight * (pool is open_ones)
            now += length
        now += random.uniform(0.3, 1.3)
    return mouth / total[:, None], speaking, openness / total


def _emotions(assets: PeopleAssets, time: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """[F,E]: whole expressions that come, stay and go, now and then extreme."""
    table = np.asarray(assets.combinations)
    result = np.zeros((len(time), table.shape[1]))
    start = random.uniform(-0.5, 1.0)
    while start < time[-1]:
        rise, hold, fall = random.uniform(0.18, 0.5), random.uniform(0.2, 1.6), random.uniform(0.35, 0.9)
        strength = random.uniform(0.95, 1.25) if random.random() < 0.15 else random.uniform(0.3, 0.95)
        shape = table[random.integers(len(table))] * strength
        result = np.maximum(result, _ramp(time, start, rise, hold, fall)[:, None] * shape)
        start += rise + hold + random.uniform(*_EMOTION_PAUSE)
    return result


def _brows(
    assets: PeopleAssets, time: np.ndarray, frame_rate: float, speaking: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """[F,E]: brows that go with the melody of speech, up more than down."""
    up, down = (np.asarray(assets.brows)[k] for k in range(2))
    curve = smooth(random, len(time), 1, 0.5, frame_rate)[:, 0] * (0.3 + 0.7 * speaking)
    return 0.3 * np.clip(curve - 0.2, 0, 2)[:, None] * up + 0.22 * np.clip(-curve - 0.4, 0, 2)[:, None] * down


def _coefficients(assets: PeopleAssets, frames: int, frame_rate: float, random: np.random.Generator) -> np.ndarray:
    """[F,E] smooth curves on a statistical basis, the leading coefficients the strongest."""
    size = assets.expression_size
    fading = np.asarray(assets.expression_std) / np.sqrt(1.0 + np.arange(size) / 4.0)
    return smooth(random, frames, size, 0.35, frame_rate).clip(-2.5, 2.5) * fading


def _gaze(
    time: np.ndarray, head_angles: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Yaw and pitch [F] rad in the head's frame, distance [F] m, and when the eyes jump far [s].

    The eyes hold places in the room while the head moves, jump between them within 30 to 90 ms, and follow the head
    where it turns too far.
    """
    targets, jumps = np.zeros((len(time), 3)), []
    place, now = _place(random, 0.0), time[0]
    targets[:] = place
    while True:
        now += random.uniform(*_FIXATION)
        if now > time[-1]:
            break
        head_yaw = head_angles[min(np.searchsorted(time, now), len(time) - 1), 0]
        following = _place(random, head_yaw)
        size = float(np.hypot(*(following - place)[:2]))
        duration = 0.025 + 0.12 * size
        share = np.clip((time - now) / duration, 0, 1)
        share = share * share * (3 - 2 * share)
        targets += share[:, None] * (following - place)
        if size > np.radians(14):
            jumps.append(now)
        place = following
    yaw, pitch = targets[:, 0], targets[:, 1]
    direction = np.stack([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], axis=1)
    local = Rotation.from_euler("YXZ", head_angles).inv().apply(direction)
    trembling = np.radians(0.15) * random.normal(size=(2, len(time)))
    sideways = np.arctan2(local[:, 0], local[:, 2]) + trembling[0]
    upwards = np.arcsin(np.clip(local[:, 1], -1, 1)) + trembling[1]
    return sideways, upwards, np.exp(targets[:, 2]), jumps


def _place(random: np.random.Generator, head_yaw: float) -> np.ndarray:
    """A place to look at: yaw and pitch in the room, rad, and log distance. Mostly ahead, where the cameras are."""
    spread = np.radians([4.0, 3.0] if random.random() < 0.45 else [16.0, 9.0])
    yaw, pitch = spread * random.normal(size=2).clip(-2, 2)
    return np.asarray([0.7 * head_yaw + yaw if random.random() < 0.6 else yaw, pitch, random.uniform(-1.0, 1.5)])


def _blinks(time: np.ndarray, jumps: list[float], random: np.random.Generator) -> np.ndarray:
    """Closure [F,2]: lids shut within 100 to 150 ms and open more slowly; many large gaze shifts bring a blink."""
    starts, now = [], time[0] + random.uniform(0.1, 0.8)
    while now < time[-1]:
        starts.append(now)
        now += random.uniform(*BLINK_INTERVAL)
    starts += [jump for jump in jumps if random.random() < 0.5]
    closure = np.zeros(len(time))
    for start in starts:
        closing, shut, opening = (random.uniform(*span) for span in (BLINK_CLOSING, BLINK_SHUT, BLINK_OPENING))
        # Lids meet at a frame, so that every blink is seen shut at any frame rate.
        met = time[min(np.searchsorted(time, start + closing), len(time) - 1)]
        depth = random.uniform(0.5, 0.9) if random.random() < 0.15 else 1.0
        closure = np.maximum(closure, depth * _ramp(time, met - closing, closing, shut, opening))
    return np.stack([closure, closure], axis=1)
