"""The loops that run at native speed on CPUs, compiled by numba: triangles to pixels, attributes, textures, normals.

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
    triangle_out: np.ndarray,
    barycentric_out: np.ndarray,
    depth_out: np.ndarray,
) -> None:
    """Fill the picture [H,W]: nearest triangle, its perspective-correct barycentrics and the depth."""
    height, width = triangle_out.shape
    triangle_out[:] = -1
    barycentric_out[:] = _ZERO
    depth_out[:] = np.float32(np.inf)
    count = pixels.shape[0]
    fixed = np.empty((count, 2), np.int64)
    inverse = np.empty(count, np.float32)
    snap(pixels, depth, near, orthographic, fixed, inverse)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if min(a, b, c) < 0 or max(a, b, c) >= count:
            continue
        q0, q1, q2 = inverse[a], inverse[b], inverse[c]
        if not math.isfinite(q0 + q1 + q2):
            continue
        ax, ay, bx, by, cx, cy = fixed[a, 0], fixed[a, 1], fixed[b, 0], fixed[b, 1], fixed[c, 0], fixed[c, 1]
        left = max((min(ax, bx, cx) - _HALF + _PIXEL - 1) >> _BITS, 0)
        right = min((max(ax, bx, cx) - _HALF) >> _BITS, width - 1)
        top = max((min(ay, by, cy) - _HALF + _PIXEL - 1) >> _BITS, 0)
        bottom = min((max(ay, by, cy) - _HALF) >> _BITS, height - 1)
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (cull and area > 0):
            continue
        second, third = 1, 2
        if area < 0:
            area = -area
            bx, by, cx, cy, q1, q2, second, third = cx, cy, bx, by, q2, q1, 2, 1
        _fill(
            t, (ax, ay, bx, by, cx, cy), (q0, q1, q2), _ONE / np.float32(area), (left, right, top, bottom),
            second, third, orthographic, triangle_out, barycentric_out, depth_out,
        )  # fmt: skip


@njit(nogil=True, error_model="numpy", boundscheck=False, inline="always")
def _outside(dx: int, dy: int) -> int:
    """1 where points exactly on the edge belong to the neighbour (the edge is neither a top nor a left one)."""
    return np.int64(0) if dy < 0 or (dy == 0 and dx > 0) else np.int64(1)


@njit(**_OPTIONS)
def _fill(
    t: int,
    corners: tuple,
    q: tuple,
    unit: float,
    box: tuple,
    second: int,
    third: int,
    orthographic: bool,
    triangle_out: np.ndarray,
    barycentric_out: np.ndarray,
    depth_out: np.ndarray,
) -> None:
    """Walk the bounding box of one triangle of positive area; edge functions are exact 64-bit integers."""
    ax, ay, bx, by, cx, cy = corners
    q0, q1, q2 = q
    left, right, top, bottom = box
    out0, out1, out2 = _outside(cx - bx, cy - by), _outside(ax - cx, ay - cy), _outside(bx - ax, by - ay)
    px, py = (left << _BITS) + _HALF, (top << _BITS) + _HALF
    row0 = (cx - bx) * (py - by) - (cy - by) * (px - bx) - out0
    row1 = (ax - cx) * (py - cy) - (ay - cy) * (px - cx) - out1
    row2 = (bx - ax) * (py - ay) - (by - ay) * (px - ax) - out2
    right0, right1, right2 = (by - cy) << _BITS, (cy - ay) << _BITS, (ay - by) << _BITS
    down0, down1, down2 = (cx - bx) << _BITS, (ax - cx) << _BITS, (bx - ax) << _BITS
    for y in range(top, bottom + 1):
        e0, e1, e2 = row0, row1, row2
        for x in range(left, right + 1):
            if (e0 | e1 | e2) >= 0:
                l0 = np.float32(e0 + out0) * unit
                l1 = np.float32(e1 + out1) * unit
                l2 = np.float32(e2 + out2) * unit
                value = l0 * q0 + l1 * q1 + l2 * q2
                z = value if orthographic else _ONE / value
                if z < depth_out[y, x]:
                    depth_out[y, x] = z
                    triangle_out[y, x] = t
                    if not orthographic:
                        l0, l1, l2 = l0 * q0 * z, l1 * q1 * z, l2 * q2 * z
                    barycentric_out[y, x, 0] = l0
                    barycentric_out[y, x, second] = l1
                    barycentric_out[y, x, third] = l2
            e0 += right0
            e1 += right1
            e2 += right2
        row0 += down0
        row1 += down1
        row2 += down2


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
def sample_texture(texture: np.ndarray, uv: np.ndarray, out: np.ndarray) -> None:
    """Bilinear look-up of texture [A,B,D] at uv [N,2], clamped at the border."""
    height, width, channels = texture.shape
    for n in range(uv.shape[0]):
        x = min(max(uv[n, 0] * np.float32(width) - np.float32(0.5), _ZERO), np.float32(width - 1))
        y = min(max((_ONE - uv[n, 1]) * np.float32(height) - np.float32(0.5), _ZERO), np.float32(height - 1))
        if not (x >= 0 and y >= 0):
            for d in range(channels):
                out[n, d] = np.float32(np.nan)
            continue
        j, i = min(np.int64(x), max(width - 2, 0)), min(np.int64(y), max(height - 2, 0))
        j1, i1 = min(j + 1, width - 1), min(i + 1, height - 1)
        fx, fy = x - np.float32(j), y - np.float32(i)
        w00, w01, w10, w11 = (_ONE - fx) * (_ONE - fy), fx * (_ONE - fy), (_ONE - fx) * fy, fx * fy
        for d in range(channels):
            upper = w00 * texture[i, j, d] + w01 * texture[i, j1, d]
            out[n, d] = upper + w10 * texture[i1, j, d] + w11 * texture[i1, j1, d]


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
