"""Where MediaPipe's 478 face points lie on a head model, found from real video frames.

    python experiments/mediapipe_embedding.py --head ict --model ict_facekit_light.npz --clips FOLDER \\
        --out flowface_jax/heads/data/ict_mediapipe.npz
    python experiments/mediapipe_embedding.py --head generic --clips FOLDER \\
        --out flowface_jax/heads/data/mediapipe_atlas.npz

The head is fitted (identity, expressions, poses, focal length) to the points whose places are known, at first the 68
Multi-PIE landmarks; each observed MediaPipe point is then looked up on the fitted surface, the median over people and
frames becomes its place, and the fit is repeated with all 468 places. The ten iris points are set on the eyeballs.
For ICT-FaceKit the result is written as triangles and barycentric coordinates, for the built-in head as atlas
coordinates. Frames of eight people with open mouths among them are enough; takes about a minute.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from flowface_jax.heads import ict
from flowface_jax.heads.atlas import closest_on_triangle, closest_points
from flowface_jax.heads.binding import fit_sphere
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.storage import read_npz, write_npz

FACE_POINTS = 468
IDENTITY_SIZE = 50
ROUNDS = 4
IRIS_RADIUS = 5.85e-3
# The points' errors are far from independent; taken for independent they would outvote the identity prior, and the head
# and the places would drift together to unlikely shapes.
IDENTITY_PRIOR = 30.0
# How much more an anchor (a Multi-PIE landmark whose place on the head is known) counts than a found point.
ANCHOR_WEIGHT = 4.0
# The MediaPipe point nearest to each of the 68 Multi-PIE landmarks.
# fmt: off
MULTI_PIE = np.asarray([
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356, 70, 63, 105, 66, 107, 336, 296,
    334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305, 33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61,
    39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87])
UPPER_LIP = np.asarray([
    185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415, 184, 74, 73, 72, 11, 302, 303, 304,
    408, 183, 42, 41, 38, 12, 268, 271, 272, 407])
LOWER_LIP = np.asarray([
    146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324, 77, 90, 180, 85, 16, 315, 404,
    320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325])
MOUTH_CORNERS = np.asarray([61, 291, 78, 308, 76, 306, 62, 292])
EYELIDS = np.asarray([
    33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7,
    263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249])
FACE_OVAL = np.asarray([
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109])
# fmt: on


@dataclass(frozen=True)
class LinearHead:
    """What the search needs of a head model, m, axes as everywhere in the package.

    template [V,3], identity [S,V,3], expression [E,V,3], limits [E,2], expression_std [E], skin [T,3] triangles of the
    face without eyeballs, ears and mouth interior, eyeballs {−1: [T,3], +1: [T,3]} by the sign of x,
    landmarks (vertex ids [68,3], barycentric [68,3]), jaw_open: index of that expression, uv [V,2] or None.
    """

    name: str
    template: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    limits: np.ndarray
    expression_std: np.ndarray
    skin: np.ndarray
    eyeballs: dict[int, np.ndarray]
    landmarks: tuple[np.ndarray, np.ndarray]
    jaw_open: int
    uv: np.ndarray | None

    @property
    def opened(self) -> np.ndarray:
        """The template with the lips apart: the shape in which places are averaged and snapped to the surface."""
        return self.template + 0.7 * self.expression[self.jaw_open]


@dataclass(frozen=True)
class Clip:
    """MediaPipe landmarks [F,478,3] px (depth in the same unit) of one video, NaN where no face was found."""

    name: str
    landmarks: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class Fit:
    """identity [S], expression [F,E], head-to-camera rotation [F,3,3], translation [F,3]; focal, residual [F,M] px."""

    identity: np.ndarray
    expression: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    residual: np.ndarray


# --- inputs -----------------------------------------------------------------------------------------------------------


def load_ict(path: Path) -> LinearHead:
    """The ICT-FaceKit head; places are searched on its narrow face (vertices 0 to 6705) and its outer eyeballs."""
    head = ict.load_ict(path, identity_size=IDENTITY_SIZE, bind_to_atlas=False)
    ids = np.arange(head.vertex_count)
    outer_eyeballs = ((ids >= 21451) & (ids < 22221)) | ((ids >= 23021) & (ids < 23791))
    return _linear(head, ids < 6706, outer_eyeballs, None)


def load_generic() -> LinearHead:
    """The built-in head; places are searched on its face."""
    head = generic_head()
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    face = regions["face"] & ~regions["ears"] & ~regions["eyeballs"] & ~regions["nostrils"]
    return _linear(head, face, regions["eyeballs"], np.asarray(head.uv))


def _linear(head: HeadModel, face: np.ndarray, eyeballs: np.ndarray, uv: np.ndarray | None) -> LinearHead:
    template, triangles = np.asarray(head.template), np.asarray(head.triangles)
    ball = eyeballs[triangles].all(1)
    side = np.sign(template[triangles][:, :, 0].mean(1))
    return LinearHead(
        name=head.name,
        template=template,
        identity=np.ascontiguousarray(np.moveaxis(np.asarray(head.identity_basis), -1, 0)[:IDENTITY_SIZE]),
        expression=np.ascontiguousarray(np.moveaxis(np.asarray(head.expression_basis), -1, 0)),
        limits=np.asarray(head.expression_limits, np.float64) + [-0.1, 0.1],
        expression_std=np.asarray(head.expression_std, np.float64),
        skin=triangles[face[triangles].all(1)],
        eyeballs={s: triangles[ball & (side == s)] for s in (-1, 1)},
        landmarks=(np.asarray(head.landmarks.vertex_ids), np.asarray(head.landmarks.barycentric)),
        jaw_open=head.expression_names.index("jawOpen"),
        uv=uv,
    )


def read_clips(folder: Path, cache: Path | None) -> list[Clip]:
    """MediaPipe landmarks of every .mp4 of a folder; with `cache`, kept there between runs."""
    clips = []
    for path in sorted(folder.glob("*.mp4")):
        kept = cache / f"{path.stem}_mediapipe.npz" if cache else None
        if kept and kept.exists():
            arrays = read_npz(kept, "cached landmarks")
            clips.append(Clip(path.stem, arrays["landmarks"], tuple(arrays["size"].tolist())))
            continue
        clips.append(_detect(path))
        if kept:
            write_npz(kept, {"landmarks": clips[-1].landmarks, "size": np.asarray(clips[-1].size)})
    if not clips:
        raise SystemExit(f"no .mp4 in {folder}")
    return clips


def _detect(path: Path) -> Clip:
    import mediapipe

    video = cv2.VideoCapture(str(path))
    width, height = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    frames = []
    with mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True) as mesh:
        while True:
            there, image = video.read()
            if not there:
                break
            found = mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks
            if found:
                frames.append([[p.x * width, p.y * height, p.z * width] for p in found[0].landmark])
            else:
                frames.append(np.full((478, 3), np.nan))
    return Clip(path.stem, np.asarray(frames, np.float32), (width, height))


# --- which frames, which points ---------------------------------------------------------------------------------------


def openings(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per frame: sideways turn (0 is frontal), mouth opening, and eye opening, each relative to the face's width."""
    p = landmarks[..., :2]
    across = p[:, 454] - p[:, 234]
    width = np.linalg.norm(across, axis=1)
    turn = ((p[:, 4] - p[:, 234]) * across).sum(1) / width**2 - 0.5
    mouth = np.linalg.norm(p[:, 13] - p[:, 14], axis=1) / width
    lids = np.linalg.norm(p[:, [159, 386]] - p[:, [145, 374]], axis=2).min(1) / width
    return turn, mouth, lids


def choose_frames(clip: Clip) -> np.ndarray:
    """Some eight near-frontal frames: six spread over the clip, two of the most open mouths."""
    turn, mouth, _ = openings(clip.landmarks)
    turn = np.where(np.isnan(turn), np.inf, np.abs(turn))
    frontal = np.flatnonzero(turn < 0.09)
    if len(frontal) < 8:
        frontal = np.sort(np.argsort(turn)[:10])
    opened = frontal[np.argsort(-mouth[frontal])]
    spread = frontal[np.linspace(0, len(frontal) - 1, 6).astype(int)]
    return np.unique(np.r_[spread, opened[0], opened[len(opened) // 10]])


def mirror_index(clips: list[Clip]) -> np.ndarray:
    """The left-right partner of each of the 468 points: [468], found by reflecting the mean MediaPipe face."""
    faces = np.concatenate([clip.landmarks[choose_frames(clip), :FACE_POINTS] for clip in clips]).astype(np.float64)
    mean = _standardised(faces[0])
    for _ in range(4):
        mean = np.mean([_aligned(_standardised(face), mean) for face in faces], axis=0)
    reflected = mean * [-1, 1, 1]
    for _ in range(6):
        cost = cdist(reflected, mean, "sqeuclidean")
        partner = linear_sum_assignment(cost + cost.T)[1]
        reflected = _aligned(mean * [-1, 1, 1], mean[partner])
    if (partner[partner] != np.arange(FACE_POINTS)).any():
        raise SystemExit("the mirror index is not an involution; more near-frontal frames are needed")
    return partner


def _standardised(face: np.ndarray) -> np.ndarray:
    face = face - face.mean(0)
    return face / np.sqrt((face**2).mean())


def _aligned(face: np.ndarray, target: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd((face - face.mean(0)).T @ (target - target.mean(0)))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return (face - face.mean(0)) @ (u @ vt) + target.mean(0)


# --- the fit ----------------------------------------------------------------------------------------------------------


def fit(
    head: LinearHead,
    places: tuple[np.ndarray, np.ndarray],
    observed: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    start: Fit | None = None,
) -> Fit:
    """Gauss-Newton over shared identity and focal, and each frame's expression and pose.

    places: vertex ids [M,3] and barycentric [M,3]. observed: [F,M,2] px. weights: [M]. start: an earlier fit of the
    same frames. The shared unknowns are solved through the Schur complement of the frames' blocks. Plain least squares:
    MediaPipe's points hold no gross errors, and a robust loss would take a wide-open mouth for one.
    """
    base, identity_basis, expression_basis = (
        _at(head, name, places) for name in ("template", "identity", "expression")
    )
    frames, shapes, expressions = len(observed), len(identity_basis), len(expression_basis)
    centre = np.asarray(size) / 2.0
    focal_guess = 1.6 * max(size)
    sigma = 0.008 * np.ptp(observed, axis=1).mean(1)
    if start is None:
        identity, expression, log_focal = np.zeros(shapes), np.zeros((frames, expressions)), np.log(focal_guess)
        poses = [_weak_perspective(base, o, weights, centre, focal_guess) for o in observed]
        rotation, translation = (np.stack(part) for part in zip(*poses, strict=True))
    else:
        identity, expression, log_focal = start.identity, start.expression.copy(), np.log(start.focal)
        rotation, translation = start.rotation.copy(), start.translation.copy()
    residual = np.zeros(observed.shape[:2])
    prior = np.r_[np.zeros(6), 1 / head.expression_std**2]
    for _ in range(20 if start is None else 7):
        shared = np.diag(np.r_[np.full(shapes, IDENTITY_PRIOR), 25.0])
        shared_gradient = np.r_[IDENTITY_PRIOR * identity, 25.0 * (log_focal - np.log(focal_guess))]
        neutral = base + np.tensordot(identity, identity_basis, 1)
        blocks = []
        for k in range(frames):
            points = neutral + np.tensordot(expression[k], expression_basis, 1)
            error, pose_jacobian, point_jacobian, focal_jacobian = _projection(
                points, rotation[k], translation[k], np.exp(log_focal), centre, observed[k]
            )
            residual[k] = np.linalg.norm(error, axis=1)
            scale = (np.sqrt(weights) / sigma[k])[:, None, None]
            own = np.concatenate([pose_jacobian, np.einsum("mac,emc->mae", point_jacobian, expression_basis)], 2)
            common = np.einsum("mac,smc->mas", point_jacobian, identity_basis)
            common = np.concatenate([common, focal_jacobian[..., None]], 2)
            a, b = (own * scale).reshape(-1, 6 + expressions), (common * scale).reshape(-1, shapes + 1)
            r = (error * scale[..., 0]).ravel()
            solved, coupling = _eliminate(a, b, r, prior, expression[k], head.limits)
            shared += b.T @ b - coupling @ solved[:, :-1]
            shared_gradient += b.T @ r - coupling @ solved[:, -1]
            blocks.append(solved)
        step = -np.linalg.solve(shared, shared_gradient)
        identity, log_focal = identity + step[:-1], log_focal + np.clip(step[-1], -0.3, 0.3)
        for k, solved in enumerate(blocks):
            change = -(solved[:, -1] + solved[:, :-1] @ step)
            rotation[k] = cv2.Rodrigues(change[:3])[0] @ rotation[k]
            translation[k] += change[3:6]
            expression[k] = np.clip(expression[k] + change[6:], head.limits[:, 0], head.limits[:, 1])
    return Fit(identity, expression, rotation, translation, float(np.exp(log_focal)), residual)


def _eliminate(
    a: np.ndarray, b: np.ndarray, r: np.ndarray, prior: np.ndarray, expression: np.ndarray, limits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One frame's block solved against its coupling and gradient [6+E, S+2], and the coupling [S+1, 6+E].

    Coefficients at a limit that descent would push beyond it are held for this step (projected Newton).
    """
    block = a.T @ a + np.diag(prior)
    block += np.diag(1e-3 * np.diag(block))
    coupling, gradient = b.T @ a, a.T @ r + prior * np.r_[np.zeros(6), expression]
    low, high = limits.T
    held = ((expression <= low) & (gradient[6:] > 0)) | ((expression >= high) & (gradient[6:] < 0))
    held = np.r_[np.zeros(6, bool), held]
    block[held], block[:, held], coupling[:, held], gradient[held] = 0, 0, 0, 0
    block[held, held] = 1
    return np.linalg.solve(block, np.c_[coupling.T, gradient]), coupling


def _at(head: LinearHead, name: str, places: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    ids, barycentric = places
    return np.einsum("...mkc,mk->...mc", getattr(head, name)[..., ids, :], barycentric).astype(np.float64)


def _projection(
    points: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    focal: float,
    centre: np.ndarray,
    seen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Error [M,2] px and its derivatives by pose [M,2,6] (rotation, translation), point [M,2,3] and log focal [M,2]."""
    turned = points @ rotation.T
    x, y, z = (turned + translation).T
    ratio = np.stack([x / z, y / z], 1)
    by_camera = np.zeros((len(points), 2, 3))
    by_camera[:, 0, 0] = by_camera[:, 1, 1] = focal / z
    by_camera[:, :, 2] = -focal * ratio / z[:, None]
    skew = np.zeros((len(points), 3, 3))
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = turned[:, 2], -turned[:, 1], turned[:, 0]
    skew -= skew.transpose(0, 2, 1)
    pose = np.concatenate([by_camera @ skew, by_camera], 2)
    return focal * ratio + centre - seen, pose, by_camera @ rotation, focal * ratio


def _weak_perspective(
    points: np.ndarray, seen: np.ndarray, weights: np.ndarray, centre: np.ndarray, focal: float
) -> tuple[np.ndarray, np.ndarray]:
    """Starting pose: scaled-orthographic camera by linear least squares, its rows made a rotation."""
    design = np.c_[points, np.ones(len(points))] * np.sqrt(weights)[:, None]
    solution = np.linalg.lstsq(design, seen * np.sqrt(weights)[:, None], rcond=None)[0]
    scale = np.linalg.norm(solution[:3], axis=0).mean()
    u, _, vt = np.linalg.svd(solution[:3].T, full_matrices=False)
    rows = u @ vt
    depth = focal / scale
    return np.stack([rows[0], rows[1], np.cross(rows[0], rows[1])]), np.r_[(solution[3] - centre) / scale, depth]


# --- looking points up on the surface ---------------------------------------------------------------------------------


def lip_side(head: LinearHead) -> np.ndarray:
    """[V] +1 on and above the upper lip, −1 on and below the lower lip: does opening the jaw carry the vertex along?"""
    ids, barycentric = head.landmarks
    drop = -head.expression[head.jaw_open][:, 1]
    lower_lip = (drop[ids[[66, 57]]] * barycentric[[66, 57]]).sum(1).mean()
    return np.where(drop > 0.5 * lower_lip, -1, 1)


def look_up(head: LinearHead, result: Fit, k: int, seen: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Place under each observed point [468,2] px on the fitted head of frame k, as positions [468,3] of `head.opened`.

    Of the front-facing triangles that hold the point the nearest to the camera counts; where none does, the nearest in
    the image. Lip points are only looked for on their own lip. NaN where the surface is farther than 5 % of the face.
    """
    shape = head.template + np.tensordot(result.identity, head.identity, 1)
    shape = shape + np.tensordot(result.expression[k], head.expression, 1)
    camera = shape @ result.rotation[k].T + result.translation[k]
    pixel = result.focal * camera[:, :2] / camera[:, 2:] + np.asarray(size) / 2.0
    ab_x, ab_y = (pixel[head.skin[:, 1]] - pixel[head.skin[:, 0]]).T
    ac_x, ac_y = (pixel[head.skin[:, 2]] - pixel[head.skin[:, 0]]).T
    # Image y points down, so counter-clockwise seen from outside has a negative determinant.
    front = head.skin[ab_x * ac_y - ab_y * ac_x < 0]
    side = lip_side(head)[front]
    wide = np.ptp(seen[:, 0])
    places = np.full((FACE_POINTS, 3), np.nan)
    everything = np.setdiff1d(np.arange(FACE_POINTS), np.r_[UPPER_LIP, LOWER_LIP])
    for members, allowed in (
        (everything, front),
        (UPPER_LIP, front[(side > 0).all(1)]),
        (LOWER_LIP, front[(side < 0).all(1)]),
    ):
        triangle, barycentric, distance = _under(seen[members], pixel, camera[:, 2], allowed)
        found = np.einsum("mkc,mk->mc", head.opened[triangle], barycentric)
        places[members] = np.where((distance < 0.05 * wide)[:, None], found, np.nan)
    return places


def _under(
    seen: np.ndarray, pixel: np.ndarray, depth: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Front-most of the 32 triangles nearest in the image that hold each point, else the nearest: ids, weights, px."""
    corners = np.concatenate([pixel, depth[:, None] * 0], 1)[triangles]
    near = cKDTree(corners.mean(1)[:, :2]).query(seen, k=32)[1]
    flat = triangles[near.ravel()].reshape(-1, 3)
    queries = np.repeat(np.pad(seen, ((0, 0), (0, 1))), 32, axis=0)
    barycentric, squared = closest_on_triangle(queries, corners[near.ravel()])
    behind = (depth[flat] * barycentric).sum(1)
    # Depth only decides among triangles that hold the point: a pixel of distance outweighs any depth.
    score = (np.where(squared < 1e-12, 0, 1e3 + squared) + behind).reshape(-1, 32)
    best = np.arange(len(seen)) * 32 + score.argmin(1)
    return flat[best], barycentric[best], np.sqrt(squared[best])


def snap(head: LinearHead, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertex ids and barycentric [468,3] of the nearest points of the opened head's skin, lips on their own side."""
    side = lip_side(head)[head.skin]
    ids, barycentric = np.zeros((FACE_POINTS, 3), np.int64), np.zeros((FACE_POINTS, 3))
    everything = np.setdiff1d(np.arange(FACE_POINTS), np.r_[UPPER_LIP, LOWER_LIP])
    for members, allowed in (
        (everything, head.skin),
        (UPPER_LIP, head.skin[(side > 0).all(1)]),
        (LOWER_LIP, head.skin[(side < 0).all(1)]),
    ):
        found, _ = closest_points(places[members], head.opened, allowed)
        ids[members], barycentric[members] = found.vertex_ids, found.barycentric
    return ids, barycentric


def iris_places(head: LinearHead) -> tuple[np.ndarray, np.ndarray]:
    """MediaPipe's points 468 to 477: centre and four ring points of the right and left iris, looking ahead."""
    ids, barycentric = [], []
    for side in (-1, 1):
        triangles = head.eyeballs[side]
        ball = head.template[np.unique(triangles)].astype(np.float64)
        centre, radius = fit_sphere(ball)
        forward = _gaze(head.template, triangles, centre)
        right = np.cross([0, 1.0, 0], forward)
        right /= np.linalg.norm(right)
        up = np.cross(forward, right)
        x, y = IRIS_RADIUS * np.asarray([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]).T
        depth = np.sqrt(radius**2 - x**2 - y**2)
        offsets = np.outer(x, right) + np.outer(y, up) + np.outer(depth, forward)
        found, _ = closest_points(centre + offsets, head.template, triangles)
        ids.append(found.vertex_ids)
        barycentric.append(found.barycentric)
    return np.concatenate(ids), np.concatenate(barycentric)


def _gaze(template: np.ndarray, triangles: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Unit direction of the pupil: towards the front pole of an eyeball modelled as rings, else straight ahead."""
    valence = np.bincount(triangles.ravel(), minlength=len(template))
    pole = np.argmax(np.where(template[:, 2] > centre[2], valence, 0))
    direction = template[pole] - centre if valence[pole] >= 12 else np.asarray([0, 0, 1.0])
    return direction / np.linalg.norm(direction)


# --- the search -------------------------------------------------------------------------------------------------------


def search(head: LinearHead, clips: list[Clip]) -> tuple[np.ndarray, np.ndarray]:
    """Vertex ids and barycentric coordinates of the 478 points, [478,3] each; prints the residuals of every round."""
    partner = mirror_index(clips)
    reflected = head.template * [-1, 1, 1]
    symmetric = cKDTree(head.template).query(reflected)[0].max() < 1e-3
    frames = [choose_frames(clip) for clip in clips]
    contour = np.arange(68) < 17
    anchors, anchor_weights = head.landmarks, np.where(contour, 0.0, ANCHOR_WEIGHT)
    places, seen_ids, weights = anchors, MULTI_PIE, np.where(contour, 0.1, 1.0)
    fits: list[Fit | None] = [None] * len(clips)
    for number in range(ROUNDS + 1):
        fits = [
            fit(head, places, clip.landmarks[chosen][:, seen_ids, :2].astype(np.float64), weights, clip.size, start)
            for clip, chosen, start in zip(clips, frames, fits, strict=True)
        ]
        _report(number, clips, frames, fits)
        if number == ROUNDS:
            break
        found = _collect(head, clips, frames, fits)
        median = np.nanmedian(found, axis=0)
        if symmetric:
            median = (median + median[partner] * [-1, 1, 1]) / 2
        found_places = places = snap(head, median)
        weights, seen_ids = np.ones(FACE_POINTS), np.arange(FACE_POINTS)
        weights[FACE_OVAL] = 0.3
        if number < ROUNDS - 1:
            # Without anchors the search is free to trade a lip's place for its opening. The last fit only measures.
            places = tuple(np.concatenate(pair) for pair in zip(places, anchors, strict=True))
            weights, seen_ids = np.r_[weights, anchor_weights], np.r_[seen_ids, MULTI_PIE]
        spread = 1e3 * np.nanmedian(np.linalg.norm(found - median, axis=2), axis=0)
        print(f"  spread between frames, mm: median {np.median(spread):.2f}, 90 % {np.percentile(spread, 90):.2f}")
    iris = iris_places(head)
    return np.concatenate([found_places[0], iris[0]]), np.concatenate([found_places[1], iris[1]])


def _collect(head: LinearHead, clips: list[Clip], frames: list[np.ndarray], fits: list[Fit]) -> np.ndarray:
    """Places [N,468,3] found in all frames; NaN for the lids of closing eyes."""
    found = []
    for clip, chosen, result in zip(clips, frames, fits, strict=True):
        lids = openings(clip.landmarks)[2]
        usual = np.nanpercentile(lids, 75)
        for k, frame in enumerate(chosen):
            places = look_up(head, result, k, clip.landmarks[frame, :FACE_POINTS, :2].astype(np.float64), clip.size)
            if lids[frame] < 0.75 * usual:
                places[EYELIDS] = np.nan
            found.append(places)
    return np.stack(found)


def _report(number: int, clips: list[Clip], frames: list[np.ndarray], fits: list[Fit]) -> None:
    texts = []
    for clip, chosen, result in zip(clips, frames, fits, strict=True):
        width = np.ptp(clip.landmarks[chosen][:, :FACE_POINTS, 0], axis=1)
        texts.append(f"{clip.name} {100 * np.median(result.residual[:, :FACE_POINTS] / width[:, None]):.2f}")
    print(f"round {number}: median residual, % of the face box's width: {', '.join(texts)}", flush=True)


def _atlas(uv: np.ndarray, places: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.einsum("pkd,pk->pd", uv[places[0]], places[1]).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--head", choices=("generic", "ict"), required=True)
    parser.add_argument("--model", type=Path, help="ict: the light .npz (ict_facekit_light.npz)")
    parser.add_argument("--clips", type=Path, required=True, help="folder of .mp4 files, one person each")
    parser.add_argument("--cache", type=Path, help="folder that keeps the detected landmarks between runs")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.head == "ict" and options.model is None:
        parser.error("--head ict needs --model")
    start = time.time()
    head = load_ict(options.model) if options.head == "ict" else load_generic()
    ids, barycentric = search(head, read_clips(options.clips, options.cache))
    source = f"MediaPipe 478 points on the {head.name} head, experiments/mediapipe_embedding.py"
    if head.uv is None:
        arrays = {"vertex_ids": ids.astype(np.int32), "barycentric": barycentric.astype(np.float32)}
    else:
        # The landmarks' coordinates tell later whether the atlas is still the one that the points were found in.
        arrays = {"uv": _atlas(head.uv, (ids, barycentric)), "landmarks_uv": _atlas(head.uv, head.landmarks)}
    write_npz(options.out, {**arrays, "source": np.asarray(source)})
    print(f"wrote {options.out} in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
