"""The loops that run at native speed on CPUs, compiled by numba: triangles to pixels, attributes, normals.

Each takes one image (one mesh) as contiguous arrays and writes into arrays that it is given.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from flowface_jax.synthesis.rasteriser.grid import HALF_PIXEL, PIXEL, REACH, SUBPIXEL_BITS

# No reordering of sums and no contraction: the same bytes on every CPU.
_OPTIONS = dict(nogil=True, error_model="numpy", boundscheck=False, inline="never")

_PIXEL = np.int64(PIXEL)
_HALF = np.int64(HALF_PIXEL)
_BITS = np.int64(SUBPIXEL_BITS)
_REACH = np.float32(REACH)
_SCALE = np.float32(PIXEL)
_ONE = np.float32(1)
_ZERO = np.float32(0)
_WIDE = np.int64(6)


@njit(**_OPTIONS)
def snap(
    pixels: np.ndarray, depth: np.ndarray, near: float, orthographic: bool, fixed: np.ndarray, inverse: np.ndarray
) -> None:
    """Vertices on the sub-pixel grid [V,2] int64 and 1/depth [V] (depth if orthographic); NaN where unusable."""
    for v in range(pixels.shape[0]):
        x, y, z = pixels[v, 0], pixels[v, 1], depth[v]
        usable = abs(x) < _REACH and abs(y) < _REACH and math.isfinite(z) and (orthographic or z > near)
        if usable:
            fixed[v, 0] = np.int64(np.rint(x * _SCALE))
            fixed[v, 1] = np.int64(np.rint(y * _SCALE))
            inverse[v] = z if orthographic else _ONE / z
        else:
            inverse[v] = np.float32(np.nan)


@njit(**_OPTIONS)
def rasterise(
    pixels: np.ndarray,
    depth: np.ndarray,
    triangles: np.ndarray,
    near: float,
    orthographic: bool,
    cull: bool,
    mixed: bool,
    triangle_out: np.ndarray,
    barycentric_out: np.ndarray,
    depth_out: np.ndarray,
) -> None:
    """Fill the picture [H,W]: nearest triangle, its perspective-correct barycentrics (where `mixed`) and the depth."""
    height, width = triangle_out.shape
    triangle_out[:] = -1
    depth_out[:] = np.float32(np.inf)
    count = pixels.shape[0]
    fixed = np.empty((count, 2), np.int64)
    inverse = np.empty(count, np.float32)
    snap(pixels, depth, near, orthographic, fixed, inverse)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if min(a, b, c) < 0 or max(a, b, c) >= count:
            continue
        if not math.isfinite(inverse[a] + inverse[b] + inverse[c]):
            continue
        ax, ay, bx, by, cx, cy = fixed[a, 0], fixed[a, 1], fixed[b, 0], fixed[b, 1], fixed[c, 0], fixed[c, 1]
        left = max((min(ax, bx, cx) - _HALF + _PIXEL - 1) >> _BITS, 0)
        right = min((max(ax, bx, cx) - _HALF) >> _BITS, width - 1)
        if left > right:
            continue
        top = max((min(ay, by, cy) - _HALF + _PIXEL - 1) >> _BITS, 0)
        bottom = min((max(ay, by, cy) - _HALF) >> _BITS, height - 1)
        if top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (cull and area > 0):
            continue
        if area < 0:
            area, b, c = -area, c, b
        ax, ay, bx, by, cx, cy = fixed[a, 0], fixed[a, 1], fixed[b, 0], fixed[b, 1], fixed[c, 0], fixed[c, 1]
        q0, q1, q2 = inverse[a], inverse[b], inverse[c]
        unit = _ONE / np.float32(area)
        out0, out1, out2 = _outside(cx - bx, cy - by), _outside(ax - cx, ay - cy), _outside(bx - ax, by - ay)
        px, py = (left << _BITS) + _HALF, (top << _BITS) + _HALF
        row0 = (cx - bx) * (py - by) - (cy - by) * (px - bx) - out0
        row1 = (ax - cx) * (py - cy) - (ay - cy) * (px - cx) - out1
        row2 = (bx - ax) * (py - ay) - (by - ay) * (px - ax) - out2
        right0, right1, right2 = (by - cy) << _BITS, (cy - ay) << _BITS, (ay - by) << _BITS
        down0, down1, down2 = (cx - bx) << _BITS, (ax - cx) << _BITS, (bx - ax) << _BITS
        # Long thin triangles fill little of their box: each row begins and ends about where the edges say.
        wide = right - left >= _WIDE
        for y in range(top, bottom + 1):
            first, last = np.int64(0), right - left
            if wide:
                first, last = _cut(row0, right0, first, last)
                first, last = _cut(row1, right1, first, last)
                first, last = _cut(row2, right2, first, last)
            e0, e1, e2 = row0 + first * right0, row1 + first * right1, row2 + first * right2
            for x in range(left + first, left + last + 1):
                if (e0 | e1 | e2) >= 0:
                    value = np.float32(e0 + out0) * unit * q0 + np.float32(e1 + out1) * unit * q1
                    value = value + np.float32(e2 + out2) * unit * q2
                    z = value if orthographic else _ONE / value
                    i, j = np.uint64(y), np.uint64(x)
                    if z < depth_out[i, j]:
                        depth_out[i, j] = z
                        triangle_out[i, j] = t
                e0 += right0
                e1 += right1
                e2 += right2
            row0 += down0
            row1 += down1
            row2 += down2
    if mixed:
        _mix(triangles, fixed, inverse, orthographic, triangle_out, depth_out, barycentric_out)
    else:
        barycentric_out[:] = _ZERO


@njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")
def _cut(value: int, step: int, first: int, last: int) -> tuple:
    """The steps from first to last after which value + n · step may be 0 or more; up to one too many at an end."""
    if step > 0:
        first = max(first, np.int64(-(np.float64(value) / np.float64(step))) - 1)
    elif step < 0:
        last = min(last, np.int64(np.float64(value) / -np.float64(step)) + 1)
    return first, last


@njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")
def _outside(dx: int, dy: int) -> int:
    """1 where points exactly on the edge belong to the neighbour (the edge is neither a top nor a left one)."""
    return np.int64(0) if dy < 0 or (dy == 0 and dx > 0) else np.int64(1)


@njit(**_OPTIONS)
def _mix(
    triangles: np.ndarray,
    fixed: np.ndarray,
    inverse: np.ndarray,
    orthographic: bool,
    triangle: np.ndarray,
    depth: np.ndarray,
    out: np.ndarray,
) -> None:
    """Barycentrics [H,W,3] of what is seen in the end: cheaper than of everything that is overdrawn."""
    height, width = triangle.shape
    for y in range(height):
        py = (np.int64(y) << _BITS) + _HALF
        for x in range(width):
            t = triangle[y, x]
            if t < 0:
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = _ZERO, _ZERO, _ZERO
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            px = (np.int64(x) << _BITS) + _HALF
            ax, ay, bx, by = fixed[a, 0] - px, fixed[a, 1] - py, fixed[b, 0] - px, fixed[b, 1] - py
            cx, cy = fixed[c, 0] - px, fixed[c, 1] - py
            e0, e1, e2 = abs(bx * cy - by * cx), abs(cx * ay - cy * ax), abs(ax * by - ay * bx)
            unit = _ONE / np.float32(e0 + e1 + e2)
            l0, l1, l2 = np.float32(e0) * unit, np.float32(e1) * unit, np.float32(e2) * unit
            if not orthographic:
                z = depth[y, x]
                l0, l1, l2 = l0 * inverse[a] * z, l1 * inverse[b] * z, l2 * inverse[c] * z
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = l0, l1, l2


@njit(**_OPTIONS)
def interpolate(
    triangle: np.ndarray, barycentric: np.ndarray, triangles: np.ndarray, attributes: np.ndarray, out: np.ndarray
) -> None:
    """Mix the corners' attributes [V,D] at every pixel [N]; 0 where there is no triangle."""
    channels = attributes.shape[1]
    for n in range(triangle.shape[0]):
        t = triangle[n]
        if t < 0:
            for d in range(channels):
                out[n, d] = _ZERO
            continue
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        u, v, w = barycentric[n, 0], barycentric[n, 1], barycentric[n, 2]
        for d in range(channels):
            out[n, d] = u * attributes[a, d] + v * attributes[b, d] + w * attributes[c, d]


@njit(**_OPTIONS)
def vertex_normals(vertices: np.ndarray, triangles: np.ndarray, out: np.ndarray) -> None:
    """Unit normals [V,3]: the triangles' normals summed with their areas as weights."""
    count = vertices.shape[0]
    out[:] = _ZERO
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if min(a, b, c) < 0 or max(a, b, c) >= count:
            continue
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            out[corner, 0] += x
            out[corner, 1] += y
            out[corner, 2] += z
    for v in range(count):
        x, y, z = out[v, 0], out[v, 1], out[v, 2]
        length = np.sqrt(x * x + y * y + z * z)
        scale = _ONE / length if length > 0 else _ZERO
        out[v, 0], out[v, 1], out[v, 2] = x * scale, y * scale, z * scale
