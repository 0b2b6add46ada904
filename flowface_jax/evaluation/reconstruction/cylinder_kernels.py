"""The loop that casts rays from an axis outwards, compiled by numba."""

from __future__ import annotations

import math

import numpy as np


def cast(corners: np.ndarray, rows: np.ndarray, directions: np.ndarray, radius: np.ndarray, found: np.ndarray) -> None:
    """For rays from (0, rows[i], 0) along directions [J,2] (x and z): the farthest hit's radius and triangle [I,J].

    corners: [T,3,3]. rows: [I], evenly spaced, falling. directions: of angles 2πj/(J−1) about −y, first and last alike.
    """
    count, columns = rows.shape[0], directions.shape[0]
    pitch, spacing = (rows[0] - rows[count - 1]) / (count - 1), 2 * math.pi / (columns - 1)
    for t in range(corners.shape[0]):
        low = min(corners[t, 0, 1], corners[t, 1, 1], corners[t, 2, 1])
        high = max(corners[t, 0, 1], corners[t, 1, 1], corners[t, 2, 1])
        top = max(0, int(math.ceil((rows[0] - high) / pitch - 1e-9)))
        bottom = min(count - 1, int(math.floor((rows[0] - low) / pitch + 1e-9)))
        for i in range(top, bottom + 1):
            y = rows[i]
            # The triangle cuts the row's plane in a segment from (ax, az) to (bx, bz).
            ends = 0
            ax = az = bx = bz = 0.0
            for k in range(3):
                p, q = corners[t, k], corners[t, (k + 1) % 3]
                if (p[1] <= y) != (q[1] <= y):
                    share = (y - p[1]) / (q[1] - p[1])
                    x, z = p[0] + share * (q[0] - p[0]), p[2] + share * (q[2] - p[2])
                    if ends == 0:
                        ax, az = x, z
                    else:
                        bx, bz = x, z
                    ends += 1
            if ends < 2:
                continue
            turn = math.atan2(ax * bz - az * bx, ax * bx + az * bz)
            # The rays' angles grow from −z towards −x, `turn` from x towards z: the other way round.
            start = math.atan2(-ax, -az)
            other = start - turn
            first = int(math.ceil(min(start, other) / spacing - 1e-9))
            last = int(math.floor(max(start, other) / spacing + 1e-9))
            for step in range(first, last + 1):
                j = step % (columns - 1)
                dx, dz = directions[j, 0], directions[j, 1]
                across = dx * (bz - az) - dz * (bx - ax)
                if across == 0.0:
                    continue
                along = (ax * (bz - az) - az * (bx - ax)) / across
                if along > radius[i, j]:
                    radius[i, j], found[i, j] = along, t
                    if j == 0:
                        radius[i, columns - 1], found[i, columns - 1] = along, t
