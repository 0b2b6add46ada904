"""Made-up files in the shape of GNM Head."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.heads.flame_files import flame_arrays

IDENTITY, JOINTS = 7, 4
AREAS = {"left_eye_region": 4, "right_eye_region": 4, "lower_face_region": 6, "tongue": 2, "iris": 1}
EXPRESSION = sum(AREAS.values())


def gnm_arrays() -> dict[str, np.ndarray]:
    """A small egg in GNM's layout; its joints are not those of any face."""
    flame, rng = flame_arrays(), np.random.default_rng(3)
    template = flame["v_template"].astype(np.float32)
    count = len(template)
    groups = {"skin": np.arange(count) < 150, "left_eye": np.arange(count) // 20 == 8, "tongue": np.arange(count) > 190}
    groups |= {"right_eye": np.arange(count) // 10 == 18, "nose": np.arange(count) < 5, "ears": np.arange(count) < 9}
    return {
        "version": np.array("3.0"),
        "variant": np.array("head"),
        "template_vertex_positions": template,
        "vertex_identity_basis": rng.normal(0, 0.002, (IDENTITY, count, 3)).astype(np.float32),
        "expression_basis": rng.normal(0, 0.002, (EXPRESSION, count, 3)).astype(np.float32),
        "template_joint_positions": rng.normal(0, 0.05, (JOINTS, 3)).astype(np.float32),
        "joint_identity_basis": rng.normal(0, 0.001, (IDENTITY, JOINTS, 3)).astype(np.float32),
        "joint_parent_indices": np.array([0, 0, 1, 1]),
        "skinning_weights": rng.dirichlet(np.ones(JOINTS), count).T.astype(np.float32),
        "pose_correctives_regressor": rng.normal(0, 0.001, (9 * JOINTS, 3 * count)).astype(np.float32),
        "triangles": flame["f"].astype(np.int32),
        "expression_names": np.array([f"{area}_{i:03d}" for area, size in AREAS.items() for i in range(size)]),
        "joint_names": np.array(["neck", "head", "left_eye", "right_eye"]),
        "vertex_group_names": np.array(list(groups)),
        "vertex_groups": np.stack(list(groups.values())).astype(np.float32),
    }


def contour_ids() -> list[int]:
    """Seventeen vertices along a meridian and back up: a chain whose order can be told."""
    return [15 * ring for ring in range(4, 13)] + [15 * ring + 7 for ring in range(12, 4, -1)]


def write_gnm(folder: Path, arrays: dict[str, np.ndarray], contour: list[int] | None = None) -> Path:
    """gnm_head.npz and head_sparse_68.txt in the folder; returns the path of the first."""
    ids = [*(contour or contour_ids()), *range(51)]
    rows = [f"{i} 0.5 {i + 1} 0.25 {i + 2} 0.25" for i in ids]
    (folder / "head_sparse_68.txt").write_text("\n".join(rows) + "\n")
    np.savez(folder / "gnm_head.npz", **arrays)
    return folder / "gnm_head.npz"
