"""The small network for processors: convolutions where the image is fine, attention where it is coarse, a global first
guess of the UV-to-image flow, and light refinements of it on a coarse grid that is denser at eyes and lips.

The iterative alignment is the paper's (section 3.1): UV features are correlated with image features round the current
estimate, and a block shared by all iterations refines it. Smaller, and ours: the start from a learned low-rank map
instead of the identity, the warped grid, and the last iteration's decoder to the full UV size.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.network.attention import attend
from flowface_jax.network.convolution import Convolution
from flowface_jax.network.correlation import correlation_pyramid, look_up
from flowface_jax.network.resampling import average_pool, enlarge, sample

STEM = 4
"""px along a side of the patches that the image is cut into."""
WIDTHS, DEPTHS = (32, 64, 128, 160), (2, 2, 3, 2)
"""Channels and blocks at a 4th, 8th, 16th and 32nd of the image's size."""
FINER = 4
"""Sides of the full UV map and of the grid of refinement."""
MODES = 64
"""Numbers that the first guess is made of."""
MATCHED = 2
"""Cells of the grid along each axis of which one is looked for in the whole image."""
MATCH_STD = 0.2
"""Share of the crop: how far from its mean a cell is looked for, until the features say where."""
SHIFT = 0.1
"""Share of the crop by which a unit of an output moves a point."""
FIRST_STD = 0.1
"""Share of the crop: σ of an output of zero, as large as the first errors. From a far smaller σ the first steps do
nothing but raise it, and the features do not recover."""
LOG_STD_LIMIT = 6.0

COLUMN_DENSITY = ((0.0, 0.4), (0.05, 1.0), (0.3, 2.0), (0.7, 1.0), (0.95, 0.4))
ROW_DENSITY = ((0.0, 0.4), (0.26, 1.0), (0.33, 2.2), (0.45, 1.0), (0.59, 1.9), (0.73, 1.0), (0.85, 0.4))
"""(where an interval starts, how dense the grid is in it) across and down the atlas: its rows of eyes and of lips, and
the columns of both, come out twice as large as by an even grid."""


class ConvolutionBlock(nn.Module):
    """Two normalised 3×3 convolutions beside the identity."""

    features: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        inner = Convolution(self.features, name="first")(nn.LayerNorm(name="norm")(images))
        return images + Convolution(self.features, name="second")(nn.relu(inner))


class AttentionBlock(nn.Module):
    """A transformer block over all cells of a small map."""

    features: int
    heads: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        batch, height, width, features = images.shape
        cells = images.reshape(batch, height * width, features)
        inner = nn.Dense(3 * features, name="project")(nn.LayerNorm(name="norm_1")(cells))
        query, key, value = jnp.split(inner.reshape(batch, height * width, 3 * self.heads, -1), 3, axis=2)
        cells = cells + nn.Dense(features, name="join")(attend(query, key, value).reshape(cells.shape))
        inner = nn.gelu(nn.Dense(3 * features, name="widen")(nn.LayerNorm(name="norm_2")(cells)))
        return (cells + nn.Dense(features, name="narrow")(inner)).reshape(images.shape)


class NanoEncoder(nn.Module):
    """Images [B,D,D,3] to feature maps at a 4th and an 8th of their size, [B,·,·,features], and the coarsest map."""

    features: int

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        # Patches as channels: a strided convolution of three channels would cost more than the rest of the stage.
        seen = nn.relu(nn.Dense(2 * WIDTHS[0], name="patches")(_patches(images, STEM)))
        seen = Convolution(WIDTHS[0], name="stem")(seen)
        stages = []
        for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
            if stage:
                seen = nn.Dense(width, name=f"shrink_{stage}")(_patches(seen, 2))
            if stage >= 2:
                side = seen.shape[1]
                seen = seen + self.param(f"texture_{stage}", nn.initializers.normal(1.0), (side, side, width))
            for block in range(depth):
                name = f"stage_{stage}_block_{block}"
                if stage >= 2:
                    seen = AttentionBlock(width, width // 32, name=name)(seen)
                else:
                    seen = ConvolutionBlock(width, name=name)(seen)
            seen = nn.LayerNorm(name=f"norm_{stage}")(seen)
            stages.append(seen)
        fused = nn.Dense(self.features, name="fuse_3")(stages[3])
        for stage in (2, 1, 0):
            own = nn.Dense(self.features, name=f"fuse_{stage}")(stages[stage])
            fused = own + enlarge(fused, own.shape[1:3])
            if stage == 1:
                fused = coarse = ConvolutionBlock(self.features, name="mix_1")(fused)
        return nn.LayerNorm(name="norm_fine")(fused), nn.LayerNorm(name="norm_coarse")(coarse), stages[3]


class NanoNetwork(nn.Module):
    """Images [B,D,D,3] to positions [N,B,U,U,2] (shares of the crop) and log σ [N,B,U,U] (likewise) of a map over UV.

    side: U, a multiple of 4. iterations: refinements; N is one more, for the first guess. features: of image and UV.
    hidden: channels of the state. textures: of what is learned of each texel. radius, levels: of the correlations.
    Also returns the coarsest features, averaged: [B,features]. Computes in float32.
    """

    side: int
    iterations: int = 2
    features: int = 64
    hidden: int = 64
    textures: int = 16
    radius: int = 3
    levels: int = 2

    def setup(self) -> None:
        side = self.side // FINER
        self.encoder = NanoEncoder(self.features)
        self.code = GlobalCode()
        self.matches = SoftMatches()
        self.start = nn.Dense(side * side * 2)
        self.uv_features = Texture((side, side, self.features))
        self.uv_hidden = Texture((side, side, self.hidden))
        self.uv_texels = Texture((self.side, self.side, self.textures))
        self.attention = CrossAttention(self.hidden)
        self.of_code = nn.Dense(self.hidden)
        self.motion = nn.Dense(self.hidden)
        self.blocks = [ConvolutionBlock(self.hidden) for _ in range(2)]
        self.change = nn.Dense(3)
        self.decoder = TexelDecoder(self.hidden // 2)

    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        fine, coarse, global_map = self.encoder(images)
        batch = images.shape[0]
        code, modes = self.code(global_map)
        mean = self._mean()[0]
        guess = self._mean(modes + self.matches(self.uv_features(), mean, coarse))
        hidden = self.uv_hidden() + self.of_code(code)[:, None, None]
        hidden = hidden + self.attention(self.uv_hidden(), average_pool(coarse, 2))
        volumes = correlation_pyramid(self.uv_features()[None], coarse, self.levels)
        raw = self.change(hidden)
        position = guess + SHIFT * raw[..., :2]
        steps = [(position, raw[..., 2])]
        for _ in range(self.iterations):
            hidden, position, log_std = self._refine(hidden, position, volumes, fine, coarse.shape[1])
            steps.append((position, log_std))
        return *self._maps(hidden, steps, batch), global_map.mean((1, 2))

    def _mean(self, code: jax.Array | None = None) -> jax.Array:
        """The first guess [B,u,u,2] of a code [B,modes], or the one that all start from [1,u,u,2]."""
        side = self.side // FINER
        return 0.5 + self.start(jnp.zeros((1, MODES)) if code is None else code).reshape(-1, side, side, 2)

    def _refine(
        self, hidden: jax.Array, position: jax.Array, volumes: list[jax.Array], fine: jax.Array, cells: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """One iteration, from and to a state [B,u,u,hidden] and positions [B,u,u,2]; and log σ [B,u,u]."""
        # As in RAFT, gradients do not pass through the estimate that a step starts from.
        position = jax.lax.stop_gradient(position)
        batch, side = position.shape[:2]
        places = position.reshape(batch, side * side, 2)
        windows = look_up(volumes, places * cells - 0.5, self.radius).reshape(batch, side, side, -1)
        read = jax.vmap(sample)(fine, places * fine.shape[1]).reshape(batch, side, side, -1)
        moved = position - self._mean()
        seen = jnp.concatenate([windows, read, moved / SHIFT, hidden], axis=-1)
        hidden = hidden + nn.relu(self.motion(seen))
        for block in self.blocks:
            hidden = block(hidden)
        raw = self.change(hidden)
        return hidden, position + SHIFT * raw[..., :2], raw[..., 2]

    def _maps(
        self, hidden: jax.Array, steps: list[tuple[jax.Array, jax.Array]], batch: int
    ) -> tuple[jax.Array, jax.Array]:
        """The grid's positions and log σ at the full UV size, the last ones with what the decoder adds."""
        stacked = jnp.stack([jnp.concatenate([position, log_std[..., None]], -1) for position, log_std in steps])
        large = spread(stacked.reshape(-1, *stacked.shape[2:]), self.side).reshape(
            len(steps), batch, self.side, self.side, 3
        )
        added = self.decoder(hidden, self.uv_texels(), self.side)
        change = jnp.concatenate([SHIFT * added[..., :2], added[..., 2:]], axis=-1)
        large = jnp.concatenate([large[:-1], (large[-1] + change)[None]])
        log_std = jnp.clip(large[..., 2], -LOG_STD_LIMIT, LOG_STD_LIMIT) + np.log(FIRST_STD)
        return large[..., :2], log_std


class GlobalCode(nn.Module):
    """The coarsest map [B,h,h,D] to what is said of the whole face [B,256], and the modes of the first guess."""

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        cells = nn.gelu(nn.Dense(32, name="shrink")(images)).reshape(images.shape[0], -1)
        code = nn.gelu(nn.Dense(256, name="join")(cells))
        return code, nn.Dense(MODES, name="change")(code)


class SoftMatches(nn.Module):
    """Modes of the first guess [B,modes] from where in image features [B,h,h,D] cells of the UV grid [u,u,D] are found.

    Every cell in `MATCHED` along a side looks over the whole image, starting from round its mean [u,u,2]; how far from
    there its matches lie on average is what a linear layer reads. Unlike a layer over all of the features this knows
    at once that a face that is elsewhere in the crop is the same face.
    """

    @nn.compact
    def __call__(self, features: jax.Array, mean: jax.Array, images: jax.Array) -> jax.Array:
        batch, side, _, depth = images.shape
        centres = (jnp.arange(side) + 0.5) / side
        cells = jnp.stack(jnp.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        mean = mean[::MATCHED, ::MATCHED].reshape(-1, 2)
        keys = nn.Dense(depth, name="keys")(features[::MATCHED, ::MATCHED].reshape(-1, depth))
        scores = jnp.einsum("kd,bcd->bkc", keys, images.reshape(batch, -1, depth)) / np.sqrt(depth)
        away = ((mean[:, None] - cells) ** 2).sum(-1)
        start = -away / (2 * MATCH_STD**2)
        moved = jax.nn.softmax(scores + start, axis=-1) @ cells - jax.nn.softmax(start, axis=-1) @ cells
        return nn.Dense(MODES, name="change")(moved.reshape(batch, -1) / SHIFT)


class Texture(nn.Module):
    """A learned map."""

    shape: tuple[int, int, int]

    @nn.compact
    def __call__(self) -> jax.Array:
        return self.param("texture_0", nn.initializers.normal(1.0), self.shape, jnp.float32)


class CrossAttention(nn.Module):
    """What a UV grid [u,u,D] of queries finds in image features [B,h,h,D], with where it is found: [B,u,u,features]."""

    features: int
    heads: int = 2

    @nn.compact
    def __call__(self, queries: jax.Array, images: jax.Array) -> jax.Array:
        batch, side, _, depth = images.shape
        split = lambda values, count: values.reshape(*values.shape[:-1], count, -1)
        place = self.param("texture_0", nn.initializers.normal(1.0), (side, side, depth), jnp.float32)
        cells = (images + place).reshape(batch, side * side, depth)
        query = nn.Dense(self.features, name="query")(queries.reshape(-1, queries.shape[-1]))
        query = jnp.broadcast_to(query, (batch, *query.shape))
        key, value = jnp.split(nn.Dense(2 * self.features, name="key_value")(cells), 2, axis=-1)
        found = attend(split(query, self.heads), split(key, self.heads), split(value, self.heads))
        found = nn.Dense(self.features, name="join")(found.reshape(batch, -1, self.features))
        return found.reshape(batch, *queries.shape[:2], self.features)


class TexelDecoder(nn.Module):
    """The state [B,u,u,hidden] to three numbers for each texel [B,U,U,3], which adds what it has learned itself."""

    features: int

    @nn.compact
    def __call__(self, hidden: jax.Array, textures: jax.Array, side: int) -> jax.Array:
        state = spread(nn.Dense(self.features, name="shrink")(hidden), side)
        own = nn.Dense(self.features, name="own")(textures)
        return nn.Dense(3, name="change")(nn.relu(state + own))


def grid_places(side: int, density: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Where `side` cells of the warped grid have their centres along an axis of the atlas, [side] in [0, 1]."""
    starts, weights = (np.array(values) for values in zip(*density, strict=True))
    ends = np.append(starts[1:], 1.0)
    reached = np.concatenate([[0.0], np.cumsum((ends - starts) * weights)])
    centres = (np.arange(side) + 0.5) / side
    return np.interp(centres, reached / reached[-1], np.append(starts, 1.0))


def spread(maps: jax.Array, side: int) -> jax.Array:
    """Maps [N,u,u,D] on the warped grid read bilinearly at the texels of an even one: [N,side,side,D]."""
    rows = jnp.asarray(_interpolation(grid_places(maps.shape[1], ROW_DENSITY), side))
    columns = jnp.asarray(_interpolation(grid_places(maps.shape[2], COLUMN_DENSITY), side))
    wide = jnp.einsum("cw,nhwd->nhcd", columns, maps, precision="highest")
    return jnp.einsum("rh,nhcd->nrcd", rows, wide, precision="highest")


def gathered(maps: jax.Array, side: int) -> jax.Array:
    """Maps [...,U,U,D] on an even grid read bilinearly at the cells of a warped one of `side`: [...,side,side,D]."""
    columns, rows = np.meshgrid(grid_places(side, COLUMN_DENSITY), grid_places(side, ROW_DENSITY))
    places = maps.shape[-2] * np.stack([columns, rows], axis=-1).reshape(-1, 2)
    return sample(maps, jnp.asarray(places, jnp.float32)).reshape(*maps.shape[:-3], side, side, maps.shape[-1])


def _interpolation(places: np.ndarray, side: int) -> np.ndarray:
    """Weights [side,n] that read values at `places` [n] for `side` even cells; beyond the ends the line goes on."""
    centres = (np.arange(side) + 0.5) / side
    cell = np.clip(np.searchsorted(places, centres) - 1, 0, len(places) - 2)
    share = (centres - places[cell]) / (places[cell + 1] - places[cell])
    weights = np.zeros((side, len(places)), np.float32)
    weights[np.arange(side), cell], weights[np.arange(side), cell + 1] = 1 - share, share
    return weights


def _patches(images: jax.Array, size: int) -> jax.Array:
    """Images [B,H,W,D] as patches of size × size: [B,H/size,W/size,size·size·D]."""
    batch, height, width, depth = images.shape
    rows = images.reshape(batch, height // size, size, width * depth)
    # Row by row: as one transposition of six axes it would take longer than the convolutions that follow.
    each = [rows[:, :, row].reshape(batch, height // size, width // size, size * depth) for row in range(size)]
    return jnp.concatenate(each, axis=-1)
