"""Draws the pictures of docs/conventions.md: `python docs/drawings.py` writes docs/images/*.svg."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

from flowface_jax.heads.generic import generic_head

IMAGES = Path(__file__).resolve().parent / "images"
INK, MUTED, PAPER = "#1f2933", "#6b7785", "#ffffff"
X, Y, Z, ACCENT = "#c0392b", "#1e8449", "#1f5fbf", "#8e44ad"
SKIN, LINE = "#f3dfcf", "#a67c5b"
REGIONS = {"neck": "#dfe4ea", "scalp": "#d9cbb8", "face": "#f3dfcf", "ears": "#e8c3a4", "nose": "#efc9a0"}
REGIONS |= {"eyes": "#bfd7ea", "mouth": "#e5a3a0"}
FINE = 4
"""Pixels of the mask per unit of the drawing, from which outlines are traced."""

Point = Sequence[float]


class Drawing:
    """An SVG that grows by shapes; x to the right and y down, in units of a pixel at its natural size."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height = width, height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="15">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>',
        ]

    def line(self, start: Point, end: Point, colour: str = INK, width: float = 1.5, dash: str = "") -> None:
        """A straight line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<path d="M{_xy(start)}L{_xy(end)}" stroke="{colour}" stroke-width="{width}" fill="none"{dashed}/>'
        )

    def arrow(self, start: Point, end: Point, colour: str = INK, width: float = 2.5) -> None:
        """A line with a head at its end."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        along = (end - start) / np.linalg.norm(end - start)
        across = np.array([-along[1], along[0]])
        neck = end - 11 * along
        self.line(start, neck, colour, width)
        self.polygon([end, neck + 4.5 * across, neck - 4.5 * across], colour, "none")

    def polygon(self, points: Sequence[Point], fill: str, stroke: str = INK, width: float = 1.2) -> None:
        """A closed polygon."""
        path = "M" + "L".join(_xy(point) for point in points) + "Z"
        self.parts.append(f'<path d="{path}" fill="{fill}" stroke="{stroke}" stroke-width="{width}"/>')

    def dot(self, at: Point, colour: str = INK, radius: float = 4.0) -> None:
        """A filled circle."""
        self.parts.append(f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="{radius:g}" fill="{colour}"/>')

    def text(self, at: Point, words: str, colour: str = INK, anchor: str = "start", style: str = "") -> None:
        """One line of text; `style` holds more attributes."""
        self.parts.append(
            f'<text x="{at[0]:g}" y="{at[1]:g}" fill="{colour}" text-anchor="{anchor}"{style and " " + style}>'
            f"{escape(words)}</text>"
        )

    def axes(self, origin: Point, arms: dict[str, tuple[Point, str]]) -> None:
        """Named arrows from one origin: name → (vector, colour)."""
        origin = np.asarray(origin, float)
        for name, (vector, colour) in arms.items():
            vector = np.asarray(vector, float)
            self.arrow(origin, origin + vector, colour)
            place = origin + vector * (1 + 17 / np.linalg.norm(vector)) + [0, 5]
            self.text(place, name, colour, "middle", 'font-weight="bold"')
        self.dot(origin)

    def save(self, name: str) -> None:
        """Write docs/images/NAME.svg."""
        (IMAGES / f"{name}.svg").write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def _xy(point: Point) -> str:
    return f"{float(point[0]):.1f} {float(point[1]):.1f}".replace(".0", "")


def outlines(points: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """Outlines [N,2] of what triangles [T,3] of points [V,2] cover in a drawing of size (width, height)."""
    mask = np.zeros((size[1] * FINE, size[0] * FINE), np.uint8)
    cv2.fillPoly(mask, [np.rint(corners * FINE).astype(np.int32) for corners in points[triangles]], 255)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [cv2.approxPolyDP(c, 1.5, True)[:, 0] / FINE for c in found if cv2.contourArea(c) > 60 * FINE**2]


def camera_axes() -> None:
    """OpenCV's axes beside OpenGL's and PyTorch3D's."""
    drawing = Drawing(760, 300, "Camera axes: OpenCV's are ours")
    kinds = [
        ("ours, OpenCV's", {"x": ((78, 0), X), "y": ((0, 78), Y), "z": ((58, -52), Z)}, "x right, y down, z forward"),
        ("OpenGL, Blender", {"x": ((78, 0), X), "y": ((0, -78), Y), "z": ((-50, 45), Z)}, "x right, y up, z backward"),
        ("PyTorch3D", {"x": ((-78, 0), X), "y": ((0, -78), Y), "z": ((58, -52), Z)}, "x left, y up, z forward"),
    ]
    for column, (name, arms, words) in enumerate(kinds):
        centre = np.array([128.0 + 250 * column, 160.0])
        for corner in ((-62, -46), (62, -46), (62, 46), (-62, 46)):
            drawing.line(centre, centre + [58, -52] + np.multiply(corner, 0.8), "#b8c2cc", 1)
        plane = [centre + [58, -52] + np.multiply(c, 0.8) for c in ((-62, -46), (62, -46), (62, 46), (-62, 46))]
        drawing.polygon(plane, "#eef3f8", "#b8c2cc")
        drawing.axes(centre, arms)
        drawing.text((128 + 250 * column, 32), name, INK, "middle", 'font-weight="bold"')
        drawing.text((128 + 250 * column, 280), words, MUTED, "middle")
    drawing.save("camera_axes")


def pixel_centres() -> None:
    """Continuous pixel coordinates: the corner is the origin."""
    drawing = Drawing(760, 330, "Pixel coordinates: the centre of the top-left pixel is at (0.5, 0.5)")
    left, top, side = 90, 70, 58
    for row in range(4):
        for column in range(6):
            x, y = left + column * side, top + row * side
            fill = "#dbe8f7" if row == column == 0 else PAPER
            drawing.polygon([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], fill, "#b8c2cc")
            drawing.dot((x + side / 2, y + side / 2), "#b8c2cc", 2.5)
    drawing.arrow((left, top), (left + 6.5 * side, top), X)
    drawing.arrow((left, top), (left, top + 4.3 * side), Y)
    drawing.text((left + 6.5 * side + 8, top + 5), "x, to width", X)
    drawing.text((left - 6, top + 4.3 * side + 4), "y", Y, "end")
    drawing.dot((left, top))
    drawing.text((left - 8, top - 10), "(0, 0)", INK, "end")
    drawing.dot((left + side / 2, top + side / 2), Z, 5)
    drawing.text((left + side / 2 + 3, top + side - 6), "(0.5, 0.5)", Z, "middle", 'font-size="11"')
    drawing.dot((left + 6 * side, top + 4 * side))
    drawing.text((left + 6 * side - 4, top + 4 * side + 19), "(width, height)", INK, "middle")
    middle = (left + 3 * side, top + 2 * side)
    drawing.dot(middle, ACCENT, 5)
    drawing.text((middle[0] + 8, middle[1] - 8), "(width/2, height/2)", ACCENT, "start", 'font-size="12"')
    words = [
        "Pixel column 0 covers",
        "x from 0 to 1.",
        "",
        "From a program that counts",
        "centres from 0 (OpenCV's K):",
    ]
    for number, line in enumerate([*words, "add 0.5 to x, y, cx and cy."]):
        drawing.text((530, 130 + 22 * number), line, MUTED)
    drawing.save("pixel_centres")


def world_to_camera() -> None:
    """From the head's frame to the world, to a camera, to its image."""
    drawing = Drawing(760, 320, "From the head's frame to the world, to the camera, to the image")
    head, world, camera = np.array([110.0, 120.0]), np.array([365.0, 240.0]), np.array([600.0, 130.0])
    drawing.axes(head, {"x": ((52, -8), X), "y": ((6, -52), Y), "z": ((34, 30), Z)})
    drawing.axes(world, {"x": ((52, 0), X), "y": ((0, 52), Y), "z": ((36, -34), Z)})
    drawing.axes(camera, {"x": ((40, 34), X), "y": ((-34, 40), Y), "z": ((-48, -16), Z)})
    drawing.text((110, 40), "head", INK, "middle", 'font-weight="bold"')
    drawing.text((345, 262), "world", INK, "end", 'font-weight="bold"')
    drawing.text((640, 92), "camera c", INK, "middle", 'font-weight="bold"')
    drawing.arrow(head + [28, 58], world + [-32, -14], MUTED, 1.8)
    drawing.arrow(world + [70, -28], camera + [-40, 46], MUTED, 1.8)
    drawing.text((64, 226), "x_world = R_head x + t_head", INK)
    drawing.text((64, 246), "head_rotation, head_translation", MUTED, "start", 'font-size="12"')
    drawing.text((490, 236), "x_camera = R x_world + t", INK)
    drawing.text((490, 256), "rotation, translation", MUTED, "start", 'font-size="12"')
    drawing.text((490, 290), "camera's place in the world: −Rᵀ t", INK)
    drawing.text((262, 66), "pixel = focal · (x, y)_camera / z_camera + principal point", INK)
    drawing.save("world_to_camera")


def head_frame() -> None:
    """The built-in head from the front and from its left, with the axes of its frame and a scale."""
    drawing = Drawing(760, 450, "The head's frame: x to the subject's left, y up, z out of the face")
    head = generic_head()
    template, triangles = np.asarray(head.template, np.float64), np.asarray(head.triangles)
    scale, height = 1100.0, 230.0
    views = [
        ("from the front", 190.0, (0, 1.0), {"x": ((125, 0), X), "y": ((0, -165), Y)}, 2),
        ("from the subject's left", 560.0, (2, -1.0), {"z": ((-165, 0), Z), "y": ((0, -165), Y)}, 0),
    ]
    for title, middle, (axis, sign), arms, depth in views:
        flat = np.stack([middle + sign * scale * template[:, axis], height - scale * template[:, 1]], axis=1)
        for outline in outlines(flat, triangles, (760, 450)):
            drawing.polygon(outline, SKIN, LINE)
        for name in ("ears", "nose", "mouth", "eyes"):
            for outline in outlines(flat, _shown(head, name, depth), (760, 450)):
                drawing.polygon(outline, REGIONS[name], LINE, 0.8)
        drawing.axes((middle, height), arms)
        drawing.text((middle, 436), title, MUTED, "middle")
    drawing.line((318, 390), (318 + 0.1 * scale, 390), INK, 2)
    drawing.text((318 + 0.05 * scale, 382), "10 cm", INK, "middle", 'font-size="12"')
    drawing.text((14, 215), "the subject's", MUTED, "start", 'font-size="12"')
    drawing.text((14, 231), "right", MUTED, "start", 'font-size="12"')
    drawing.save("head_frame")


def _shown(head: object, region: str, depth: int) -> np.ndarray:
    """Triangles of a region that face a viewer at the positive end of an axis, on the viewer's side of the head."""
    template, triangles = np.asarray(head.template), np.asarray(head.triangles)
    mask = np.asarray(head.regions[region]) & ~np.asarray(head.regions["eyeballs"])
    corners = template[triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return triangles[mask[triangles].all(1) & (normal[:, depth] > 0) & (corners[:, :, depth].min(1) > -0.02)]


def uv_atlas() -> None:
    """The atlas with the regions of the built-in head and its 68 landmarks."""
    drawing = Drawing(760, 480, "The UV atlas: u to the right, v up")
    head = generic_head()
    left, bottom, side = 70, 430, 390
    uv, triangles = np.asarray(head.uv, np.float64), np.asarray(head.triangles)
    flat = np.stack([left + side * uv[:, 0], bottom - side * uv[:, 1]], axis=1)
    drawing.polygon(
        [(left, bottom), (left + side, bottom), (left + side, bottom - side), (left, bottom - side)], "#fafbfc"
    )
    for name, colour in REGIONS.items():
        inside = triangles[np.asarray(head.regions[name])[triangles].all(1)]
        for outline in outlines(flat, inside, (760, 480)):
            drawing.polygon(outline, colour, LINE, 0.8)
    for place in np.asarray(head.landmarks.of(flat.astype(np.float32))):
        drawing.dot(place, Z, 2.0)
    drawing.arrow((left, bottom), (left + side + 30, bottom), X)
    drawing.arrow((left, bottom), (left, bottom - side - 25), Y)
    drawing.text((left + side + 38, bottom + 5), "u, to the subject's left", X)
    drawing.text((left + 10, bottom - side - 15), "v", Y)
    drawing.text((left - 8, bottom + 18), "0", INK, "end")
    drawing.text((left + side, bottom + 20), "1", INK, "middle")
    drawing.text((left - 8, bottom - side + 5), "1", INK, "end")
    for number, (name, colour) in enumerate(reversed(REGIONS.items())):
        drawing.polygon(
            [(520 + dx, 110 + 26 * number + dy) for dx, dy in ((0, 0), (18, 0), (18, 16), (0, 16))], colour, LINE
        )
        drawing.text((548, 123 + 26 * number), name)
    drawing.dot((529, 300), Z, 3)
    drawing.text((548, 305), "the 68 landmarks")
    drawing.text((520, 340), "image row 0 is v = 1", MUTED)
    drawing.save("uv_atlas")


if __name__ == "__main__":
    for draw in (camera_axes, pixel_centres, world_to_camera, head_frame, uv_atlas):
        draw()
