"""How often and how strongly samples are changed in training (paper, appendix D.2, which gives no numbers)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from flowface_jax.conventions import SCALE_JITTER, SHIFT_JITTER
from flowface_jax.errors import InputError
from flowface_jax.settings import check_settings
from flowface_jax.training.augmentation.bending import STRONGEST

SECTION = "augmentation"
PRESETS = ("wild", "paper", "none")


@dataclass(frozen=True)
class AugmentationConfig:
    """Probabilities (0 to 1) and magnitudes of every change; a probability or magnitude of 0 switches it off.

    Lengths in px are those of a crop 256 px wide and scale with it. Draws are uniform within ± the magnitude unless
    said otherwise. The defaults are the preset "wild". Raises InputError for values outside their range.
    """

    scale: float = SCALE_JITTER
    """Relative error of the crop's side."""
    shift: float = SHIFT_JITTER
    """Error of the crop's place along each axis, as a share of its side."""
    rotation: float = 18.0
    """Degrees in the image plane: standard deviation of a normal draw, cut off at 2.5 of them."""
    bend: float = 0.0
    """Largest relative stretch of a place of the crop by smooth waves, at most 0.5: other proportions of a face."""
    outside: Literal["border", "black"] = "border"
    """What a crop shows beyond the stored picture where no background is put: its last pixels repeated, or black."""

    background_probability: float = 0.7
    """Background replaced, of the samples whose foreground is known."""
    feather: float = 1.0
    """px, the standard deviation of the seam between head and new background, lying inside the head."""

    occlusion_probability: float = 0.5
    """Anything before the face."""
    second_shape_probability: float = 0.35
    """A second random shape, where there is one."""
    smallest_shape: float = 0.2
    largest_shape: float = 1.0
    """Area of the square round a random shape, as a share of the face box's; its root is drawn uniformly."""
    see_through_probability: float = 0.3
    """A random shape imitates shadow, highlight or glass: dark or bright, with what is behind it showing through."""
    lowest_opacity: float = 0.2
    highest_opacity: float = 0.8
    """Of see-through shapes."""
    soft_edge: float = 6.0
    """px, the largest standard deviation of the edge of see-through shapes, as shadows have them; uniform from 0."""
    held_probability: float = 0.3
    """A hand or a held thing instead of random shapes, of the samples with anything before the face."""

    colour_probability: float = 0.8
    """The colour shift: all of the six below together."""
    brightness: float = 0.3
    """Natural logarithm of a gain of all channels."""
    white_balance: float = 0.15
    """Natural logarithm of the gains of red against blue, and half of it of green against both."""
    contrast: float = 0.2
    """Relative, about the picture's mean."""
    saturation: float = 0.4
    """Relative."""
    hue: float = 8.0
    """Degrees of rotation about the grey axis."""
    gamma: float = 0.25
    """Natural logarithm of the exponent."""
    grey_probability: float = 0.1
    """Black and white."""
    noise_probability: float = 0.4
    noise: float = 0.06
    """Largest standard deviation of Gaussian noise, of a white of 1; its square root is drawn uniformly from 0."""

    blur_probability: float = 0.2
    blur: float = 2.0
    """px, the largest standard deviation; uniform from 0."""
    coarse_probability: float = 0.15
    coarsest: float = 0.3
    """The lowest share of the resolution that an enlarged picture had before; uniform up to 1."""
    compression_probability: float = 0.25
    lowest_quality: float = 30.0
    """JPEG quality (1 to 100), uniform from this to 95."""

    def __post_init__(self) -> None:
        check_settings(self, SECTION)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_probability") and value > 1:
                raise InputError(f"{SECTION}.{field.name}: expected a probability of 0 to 1, found {value}")
        _check_order(self, "smallest_shape", "largest_shape")
        _check_order(self, "lowest_opacity", "highest_opacity", limit=1.0)
        _check_below(self, "scale", 1.0)
        _check_below(self, "contrast", 1.0)
        if self.bend > STRONGEST:
            raise InputError(f"{SECTION}.bend: expected at most {STRONGEST:g}, found {self.bend}")
        if not 0 < self.coarsest <= 1:
            raise InputError(f"{SECTION}.coarsest: expected a share above 0 and up to 1, found {self.coarsest}")
        if not 1 <= self.lowest_quality <= 95:
            raise InputError(f"{SECTION}.lowest_quality: expected 1 to 95, found {self.lowest_quality}")


def augmentation_preset(name: str) -> AugmentationConfig:
    """One of `PRESETS`: "wild", the defaults; "paper", the kinds of change that appendix D.2 names and no others, with
    shapes of Voo et al.'s sizes; "none", the crop as it is found after training. Raises InputError for another name.
    """
    wild = AugmentationConfig()
    if name == "wild":
        return wild
    if name == "paper":
        further = ("held_probability", "blur_probability", "coarse_probability", "compression_probability")
        return replace(wild, smallest_shape=0.5, largest_shape=1.0, **dict.fromkeys(further, 0.0))
    if name == "none":
        switched = {field.name: 0.0 for field in fields(wild) if field.name.endswith("_probability")}
        return replace(wild, scale=0.0, shift=0.0, rotation=0.0, bend=0.0, **switched)
    raise InputError(f"{SECTION}: expected a preset ({', '.join(PRESETS)}), found '{name}'")


def _check_order(config: AugmentationConfig, low: str, high: str, limit: float = float("inf")) -> None:
    lowest, highest = getattr(config, low), getattr(config, high)
    if not lowest <= highest <= limit:
        bound = "" if limit == float("inf") else f" ≤ {limit:g}"
        raise InputError(f"{SECTION}: expected {low} ≤ {high}{bound}, found {lowest} and {highest}")


def _check_below(config: AugmentationConfig, name: str, limit: float) -> None:
    if not getattr(config, name) < limit:
        raise InputError(f"{SECTION}.{name}: expected less than {limit:g}, found {getattr(config, name)}")
