"""Who is seen and what they do: identities, expressions, gaze with lids, head poses, single or as motion."""

from flowface_jax.synthesis.people.assets import PeopleAssets, make_people_assets
from flowface_jax.synthesis.people.expressions import sample_expression, settle_mouth
from flowface_jax.synthesis.people.eyes import Gaze, pose_eyes, sample_gaze, sample_lids
from flowface_jax.synthesis.people.faces import Face, pose_face, sample_face
from flowface_jax.synthesis.people.identity import sample_identity
from flowface_jax.synthesis.people.poses import HeadPose, sample_head_pose, torso_translation

__all__ = [
    "Face",
    "Gaze",
    "HeadPose",
    "PeopleAssets",
    "make_people_assets",
    "pose_eyes",
    "pose_face",
    "sample_expression",
    "sample_face",
    "sample_gaze",
    "sample_head_pose",
    "sample_identity",
    "sample_lids",
    "settle_mouth",
    "torso_translation",
]
