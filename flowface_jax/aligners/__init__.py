"""Video in, `Alignment` out: decoding, choosing a face, finding its points and how uncertain they are."""

from flowface_jax.aligners.face_paths import FacePath
from flowface_jax.aligners.faces import FaceTrack, choose_face, link_faces
from flowface_jax.aligners.frames import Frame, FrameSource, SourceInfo
from flowface_jax.aligners.images import open_images, read_image
from flowface_jax.aligners.mediapipe import align_mediapipe
from flowface_jax.aligners.network import align_network
from flowface_jax.aligners.noise import estimate_std
from flowface_jax.aligners.prediction import NetworkPredictor, load_predictor
from flowface_jax.aligners.registry import (
    ALIGNERS,
    AUTO,
    align,
    aligner_names,
    check_aligner,
    load_detector,
    resolve_aligner,
    weights_file,
)
from flowface_jax.aligners.scenes import Scene, find_scenes
from flowface_jax.aligners.stretches import ForwardReader, Stretch
from flowface_jax.aligners.video import VideoFile, open_frames

__all__ = [
    "ALIGNERS",
    "AUTO",
    "FacePath",
    "FaceTrack",
    "ForwardReader",
    "Frame",
    "FrameSource",
    "NetworkPredictor",
    "Scene",
    "SourceInfo",
    "Stretch",
    "VideoFile",
    "align",
    "align_mediapipe",
    "align_network",
    "aligner_names",
    "check_aligner",
    "choose_face",
    "estimate_std",
    "find_scenes",
    "link_faces",
    "load_detector",
    "load_predictor",
    "open_frames",
    "open_images",
    "read_image",
    "resolve_aligner",
    "weights_file",
]
