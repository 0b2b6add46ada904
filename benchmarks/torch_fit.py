"""The fit as a PyTorch user would write it: the same energy, AdamW, and the step halved on a plateau.

Written from the equations. Coordinates stand before points so that every transform is one batched matrix product. A
frame's head is its linear blend shapes, skinned only where joints move. Needs the `peers` extra.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

METRES = {"head_translation": 0.1, "camera_translation": 0.1, "offsets": 0.01}
NEAREST = 0.02
FLAME_VERTICES = 5023


def rotation_matrix(vector: torch.Tensor) -> torch.Tensor:
    """Axis-angle [...,3] to [...,3,3], with the right derivative at zero (sinc has one)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    turns = torch.linalg.vector_norm(vector, dim=-1)[..., None, None] / torch.pi
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + torch.sinc(turns) * skew + 0.5 * torch.sinc(turns / 2) ** 2 * (skew @ skew)


class FaceFit(nn.Module):
    """The energy of one problem; its parameters are the variables, by the same names and in the same units.

    Constants are taken from a case of `fit_problems` (any object with problem, chart, focal_guess and config).
    """

    def __init__(self, case: Any, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.settings, self.layout = case.config, case.chart.layout
        self.joint_parents = case.problem.head.joint_parents
        self._constants(case.problem, dtype)
        self._start(case, dtype)
        self._variables(case.chart.base, dtype)

    def _keep(self, dtype: torch.dtype, **arrays: Any) -> None:
        for name, array in arrays.items():
            value = torch.as_tensor(np.array(array))
            self.register_buffer(name, value.to(dtype) if value.is_floating_point() else value)

    def _constants(self, problem: Any, dtype: torch.dtype) -> None:
        head = problem.head
        flat = lambda basis: np.asarray(basis).transpose(2, 1, 0).reshape(basis.shape[2], 3 * len(basis))
        self._keep(
            dtype,
            template=np.asarray(head.template).T.reshape(-1),
            identity_basis=flat(head.identity_basis),
            expression_basis=flat(head.expression_basis),
            expression_std=head.expression_std,
            expression_limits=head.expression_limits,
            joint_template=head.joint_template,
            joint_identity=head.joint_identity,
            joint_expression=head.joint_expression,
            pose_correctives=flat(head.pose_correctives),
            skinning_weights=np.asarray(head.skinning_weights).T,
            barycentric=problem.barycentric,
            mean=np.moveaxis(np.asarray(problem.mean), -1, 1),
            inverse_std=problem.inverse_std,
            point_weight=problem.point_weight,
            real_frame=problem.real_frame,
            temporal_stencil=problem.temporal_stencil,
            temporal_scale=problem.temporal_scale,
            principal_point=problem.principal_point,
            neutral_residual=problem.neutral_residual,
            neutral_basis=problem.neutral_basis,
            vertex_ids=np.asarray(problem.vertex_ids, np.int64),
            row_share=problem.row_share,
            identity_scale=problem.identity_scale,
        )

    def _start(self, case: Any, dtype: torch.dtype) -> None:
        base, chart = case.chart.base, case.chart
        names = ("identity", "expression", "joint_rotations", "head_rotation", "head_translation", "offsets")
        names += ("camera_rotation", "camera_translation", "focal")
        self._keep(dtype, **{f"start_{name}": getattr(base, name) for name in names})
        self._keep(
            dtype,
            depth=chart.depth,
            focal_guess=case.focal_guess,
            offset_rows=np.asarray(chart.offset_rows, np.int64),
            offset_slots=np.asarray(chart.offset_slots, np.int64),
        )

    def _variables(self, base: Any, dtype: torch.dtype) -> None:
        layout, cameras, frames = self.layout, len(base.focal), len(base.expression)
        rows = lambda mode, count: 1 if mode == "shared" else count
        start: dict[str, torch.Tensor] = {}
        zeros = lambda *shape: torch.zeros(*shape, dtype=dtype)
        over_frames = lambda value, mode: value.mean(0, keepdim=True) if mode == "shared" else value.clone()
        if layout.identity != "fixed":
            start["identity"] = self.start_identity.clone()
        if layout.expression != "fixed":
            start["expression"] = over_frames(self.start_expression, layout.expression)
        if layout.joint_pose != "fixed" and layout.active_joints:
            active = self.start_joint_rotations[:, list(layout.active_joints)]
            start["joint_rotations"] = over_frames(active, layout.joint_pose)
        if layout.head_pose != "fixed":
            start["head_rotation"] = zeros(rows(layout.head_pose, frames), 3)
            start["head_translation"] = zeros(rows(layout.head_pose, frames), 3)
        if layout.offsets != "fixed":
            offsets = zeros(layout.offset_count, 3)
            offsets[self.offset_slots] = self.start_offsets[self.offset_rows]
            start["offsets"] = offsets / METRES["offsets"]
        if layout.camera_pose != "fixed" and cameras > 1:
            start["camera_rotation"], start["camera_translation"] = zeros(cameras - 1, 3), zeros(cameras - 1, 3)
        if layout.focal != "fixed":
            start["log_focal"] = zeros(rows(layout.focal, cameras))
        self.variables = nn.ParameterDict(start)

    def forward(self) -> torch.Tensor:
        """The energy at the variables."""
        focal, zoom = self._focal()
        camera_rotation, camera_translation = self._cameras(zoom)
        local, offsets = self._vertices()
        world = self._world(local, zoom)
        energy = self._alignment(world, focal, camera_rotation, camera_translation)
        return energy + self._temporal(world) + self._priors(offsets, focal)

    def _focal(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Focal lengths [C], and the depth [C,3] that keeps the head's size in each image."""
        cameras = len(self.start_focal)
        log_focal = self.variables["log_focal"] if "log_focal" in self.variables else self.start_focal.new_zeros(1)
        log_focal = log_focal.expand(cameras)
        zoom = torch.zeros_like(self.start_camera_translation)
        unknown_depth = self.layout.camera_pose != "fixed" or cameras == 1
        if self.layout.head_pose != "fixed" and unknown_depth:
            zoom = torch.stack([zoom[:, 0], zoom[:, 1], torch.expm1(log_focal) * self.depth], dim=1)
        return self.start_focal * log_focal.exp(), zoom

    def _cameras(self, zoom: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rotation, translation = self.start_camera_rotation, self.start_camera_translation
        if "camera_rotation" not in self.variables:
            return rotation, translation
        turned = rotation_matrix(self.variables["camera_rotation"]) @ rotation[1:]
        moved = translation[1:] + METRES["camera_translation"] * self.variables["camera_translation"]
        moved = moved + zoom[1:] - turned @ (rotation[0].T @ zoom[0])
        return torch.cat([rotation[:1], turned]), torch.cat([translation[:1], moved])

    def _vertices(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The head's vertices [F,3,N] m, and the offsets [N,3] m that they contain."""
        frames = len(self.start_expression)
        identity, expression = self._coefficients()
        shaped = self.template + identity @ self.identity_basis + expression @ self.expression_basis
        if self.start_joint_rotations.shape[1]:
            shaped = self._skinned(shaped, identity, expression)
        local = shaped.reshape(frames, 3, -1)
        offsets = self.start_offsets
        if "offsets" in self.variables:
            moved = METRES["offsets"] * self.variables["offsets"][self.offset_slots]
            offsets = offsets.index_copy(0, self.offset_rows, moved)
        return local + offsets.T, offsets

    def _coefficients(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Identity [S] and expressions [F,E]."""
        identity = self.variables["identity"] if "identity" in self.variables else self.start_identity
        expression = self.variables["expression"] if "expression" in self.variables else self.start_expression
        return identity, expression.expand(self.start_expression.shape)

    def _skinned(self, shaped: torch.Tensor, identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        """Linear blend skinning of [F,3N]; joints follow the shape and turn about their parents."""
        frames = len(shaped)
        angles = self.start_joint_rotations
        if "joint_rotations" in self.variables:
            active = torch.tensor(self.layout.active_joints, device=angles.device)
            moved = self.variables["joint_rotations"]
            angles = angles.index_copy(1, active, moved.expand(frames, *moved.shape[1:]))
        local = rotation_matrix(angles)
        if len(self.pose_correctives):
            feature = (local - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(1)
            shaped = shaped + feature @ self.pose_correctives
        joints = self.joint_template + self.joint_identity @ identity
        joints = joints + torch.einsum("kde,fe->fkd", self.joint_expression, expression)
        rotations, shifts = [], []
        for k, parent in enumerate(self.joint_parents):
            about = joints[:, k] - (local[:, k] @ joints[:, k, :, None])[..., 0]
            if parent >= 0:
                about = (rotations[parent] @ about[..., None])[..., 0] + shifts[parent]
            rotations.append(local[:, k] if parent < 0 else rotations[parent] @ local[:, k])
            shifts.append(about)
        poses = torch.cat([torch.stack(rotations, 1), torch.stack(shifts, 1)[..., None]], dim=-1)
        blended = (poses.flatten(2).transpose(1, 2) @ self.skinning_weights).unflatten(1, (3, 4))
        shaped = shaped.reshape(frames, 3, -1)
        return (blended[:, :, :3] * shaped[:, None]).sum(2) + blended[:, :, 3]

    def _world(self, local: torch.Tensor, zoom: torch.Tensor) -> torch.Tensor:
        rotation, translation = self.start_head_rotation, self.start_head_translation
        if "head_rotation" in self.variables:
            rotation = rotation_matrix(self.variables["head_rotation"]) @ rotation
            translation = translation + METRES["head_translation"] * self.variables["head_translation"]
            translation = translation + self.start_camera_rotation[0].T @ zoom[0]
        return torch.baddbmm(translation[..., None], rotation, local)

    def _alignment(
        self, world: torch.Tensor, focal: torch.Tensor, rotation: torch.Tensor, translation: torch.Tensor
    ) -> torch.Tensor:
        corners, count = self.barycentric.shape
        points = world[..., : corners * count]
        if corners > 1:
            points = (points.unflatten(-1, (corners, count)) * self.barycentric).sum(-2)
        flat = points.transpose(0, 1).reshape(3, -1)
        camera = torch.addmm(translation.reshape(-1, 1), rotation.reshape(-1, 3), flat)
        camera = camera.reshape(len(focal), 3, -1, count)
        scale = focal[:, None, None] / camera[:, 2].clamp(min=NEAREST)
        pixels = camera[:, :2] * scale[:, None] + self.principal_point[:, :, None, None]
        squared = ((pixels - self.mean) ** 2).sum(1) * self.inverse_std**2
        return 0.5 * (self.point_weight * self._robust(squared)).sum()

    def _robust(self, squared: torch.Tensor) -> torch.Tensor:
        kind, scale = self.settings.robust, self.settings.robust_scale
        if kind == "none":
            return squared
        if kind == "huber":
            beyond = 2 * scale * squared.clamp(min=scale**2).sqrt() - scale**2
            return torch.where(squared <= scale**2, squared, beyond)
        return squared / (1 + squared / scale**2)

    def _temporal(self, world: torch.Tensor) -> torch.Tensor:
        if len(world) < 3:
            return world.new_zeros(())
        sampled = world[..., self.barycentric.numel() :]
        before, centre, after = self.temporal_stencil[1:-1].T[..., None, None]
        counted = before * sampled[:-2] + centre * sampled[1:-1] + after * sampled[2:]
        return self.settings.temporal_weight * self.temporal_scale * counted.square().sum()

    def _priors(self, offsets: torch.Tensor, focal: torch.Tensor) -> torch.Tensor:
        """The head model's prior, the neutral head's, the offsets' and the focal lengths'."""
        settings = self.settings
        identity, expression = self._coefficients()
        spread = expression / self.expression_std * self.real_frame[:, None]
        energy = settings.prior_weight * (self.identity_scale * identity.square().sum() + spread.square().sum())
        energy = energy + settings.offset_weight * (self.row_share[:, None] * offsets.square()).sum()
        if settings.focal_prior_std > 0:
            energy = energy + 0.5 * (focal / self.focal_guess).log().square().sum() / settings.focal_prior_std**2
        if len(self.neutral_residual):
            difference = self.neutral_residual + self.neutral_basis @ identity
            # Copies of a vertex have one offset: each brings its share.
            difference = difference.index_add(0, self.vertex_ids, self.row_share[:, None] * offsets)
            scale = self.identity_scale * FLAME_VERTICES / len(difference)
            energy = energy + settings.neutral_weight * scale * difference.square().sum()
        return energy


def solve(
    model: FaceFit,
    energy: Callable[[], torch.Tensor] | None = None,
    report: Callable[[int, float, float], None] | None = None,
    steps: int | None = None,
) -> bool:
    """Minimise in place; whether it converged. energy: `model` itself or its compiled form. report: (step, energy
    before it, learning rate)."""
    settings, energy = model.settings, model if energy is None else energy
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=0.5,
        patience=settings.patience - 1,
        threshold=settings.plateau_tolerance,
        min_lr=0.0,
        eps=0.0,
    )
    smallest = settings.smallest_scale * settings.learning_rate
    for step in range(steps or settings.max_steps):
        optimizer.zero_grad(set_to_none=True)
        loss = energy()
        loss.backward()
        value = loss.item()
        plateau.step(value)
        optimizer.step()
        if "expression" in model.variables:
            with torch.no_grad():
                model.variables["expression"].clamp_(*model.expression_limits.T)
        rate = optimizer.param_groups[0]["lr"]
        if report is not None:
            report(step, value, rate)
        if rate <= smallest:
            return True
    return False
