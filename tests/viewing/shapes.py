"""Simple meshes for tests."""

import numpy as np


def sphere(rings=16, segments=32, radius=0.1, centre=(0.0, 0.0, 1.0)):
    """Vertices [V,3] m and triangles [T,3], counter-clockwise from outside."""
    theta = np.linspace(0.05, np.pi - 0.05, rings)
    phi = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    t, p = np.meshgrid(theta, phi, indexing="ij")
    vertices = np.stack([np.sin(t) * np.cos(p), np.cos(t), np.sin(t) * np.sin(p)], axis=-1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = row * segments + column, row * segments + (column + 1) % segments
    c, d = a + segments, b + segments
    triangles = np.concatenate([np.stack(x, axis=-1).reshape(-1, 3) for x in ((a, b, c), (b, d, c))])
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(1)).sum(1) > 0).all()
    return vertices * radius + np.asarray(centre), triangles.astype(np.int32)


def projected(vertices, focal=500.0, middle=(128.0, 96.0)):
    return vertices[:, :2] / vertices[:, 2:] * focal + np.asarray(middle)
