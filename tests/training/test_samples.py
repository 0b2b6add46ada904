"""Samples: where a photograph's points are in its crop, faces at the picture's edge, refusals, and records of bytes."""

import dataclasses
import io
import zipfile

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.training.records import decode_sample, encode_sample
from flowface_jax.training.samples import (
    REASONS,
    Refusal,
    Sample,
    SampleConfig,
    cut_sample,
    mirrored_sample,
    stack_samples,
)

CONFIG = SampleConfig(side=180)


def coordinates(width, height):
    """A photograph whose red and green are twice the column and the row."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([2 * x, 2 * y, 0 * x], -1).astype(np.uint8)


def face(left, top, right, bottom):
    """Points on the corners and in the middle of a box."""
    return np.asarray([[left, top], [right, top], [left, bottom], [right, bottom], [(left + right) / 2, 50.0]])


def cut(image, points, foreground=None, known=None, region=None, config=CONFIG):
    known = np.ones(len(points), bool) if known is None else known
    region = np.ones(len(points), bool) if region is None else region
    return cut_sample(image, points, known, foreground, region, "generic", {"dataset": "test"}, config)


def test_points_stay_on_what_they_show():
    """The face box of 100 x 80 px gives a square of 180 px from (-30, -40): at 180 px, a copy of the photograph."""
    image = coordinates(127, 120)
    points = face(10, 10, 110, 90)
    sample = cut(image, points)
    np.testing.assert_array_equal(sample.points, points + [30, 40])
    np.testing.assert_array_equal(sample.face_box, [40, 50, 140, 130])
    np.testing.assert_array_equal(sample.image[40:160, 30:157], image)


def test_a_mirror_image_shows_each_point_where_its_other_was():
    foreground = np.zeros((120, 127), np.uint8)
    foreground[:, 20:] = 255
    known = np.asarray([True, True, True, False, True])
    sample = cut(coordinates(127, 120), face(10, 10, 110, 90), foreground, known)
    mirror = np.asarray([1, 0, 3, 2, 4])
    twin = mirrored_sample(sample, mirror)
    for k, (x, y) in enumerate(sample.points):
        np.testing.assert_allclose(twin.points[mirror[k]], [sample.side - x, y])
        assert twin.known[mirror[k]] == known[k]
        pixel = (int(y), int(x))
        np.testing.assert_array_equal(twin.image[pixel[0], sample.side - 1 - pixel[1]], sample.image[pixel])
        assert twin.foreground[pixel[0], sample.side - 1 - pixel[1]] == sample.foreground[pixel]
    again = mirrored_sample(twin, mirror)
    np.testing.assert_array_equal(again.points, sample.points)
    np.testing.assert_array_equal(again.face_box, sample.face_box)
    assert twin.source["mirrored"] == "yes"


def test_shrinking_and_enlarging_keep_colours_under_the_points():
    """Colours are coordinates: at a point the picture's colour must be that of where it was, to rounding."""
    image, points = coordinates(127, 120), face(20, 20, 100, 80) + 0.3
    for side in (72, 288):
        sample = cut(image, points, config=SampleConfig(side=side))
        for point, was in zip(sample.points, points, strict=True):
            left, top = (int(v) for v in np.floor(point))
            patch = sample.image[top - 1 : top + 2, left - 1 : left + 2, :2].astype(float).mean((0, 1))
            expected = 2 * (was - 0.5) + 2 * ((np.floor(point) + 0.5) - point) * 144 / side
            np.testing.assert_allclose(patch, expected, atol=1.0)


def test_beyond_the_picture_its_border_is_repeated_and_counts_as_background():
    image, points = coordinates(127, 120), face(10, 10, 110, 90)
    sample = cut(image, points, np.full((120, 127), 255, np.uint8))
    np.testing.assert_array_equal(sample.image[:40, 30:157], np.broadcast_to(image[0], (40, 127, 3)))
    np.testing.assert_array_equal(sample.image[40:160, :30], np.broadcast_to(image[:, :1], (120, 30, 3)))
    assert (sample.foreground[40:160, 30:157] == 255).all() and sample.foreground.sum() == 255 * 120 * 127


def test_an_unknown_foreground_is_never_replaced():
    assert (cut(coordinates(127, 120), face(10, 10, 110, 90)).foreground == 255).all()


def test_points_that_are_not_finite_are_unknown_and_stored_as_numbers():
    points = face(10, 10, 110, 90)
    points[4] = np.nan
    sample = cut(coordinates(127, 120), points)
    assert sample.known.tolist() == [True, True, True, True, False] and np.isfinite(sample.points).all()


def test_only_the_face_region_decides_where_the_square_is():
    points = np.concatenate([face(10, 10, 110, 90), [[500.0, -300.0]]])
    sample = cut(coordinates(127, 120), points, region=np.arange(6) < 5)
    np.testing.assert_array_equal(sample.points[5], [530, -260])


def test_faces_that_cannot_be_used_are_refused_with_the_reason():
    image = coordinates(127, 120)
    unknown = np.asarray([True, False, False, False, False])
    assert cut(image, face(10, 10, 110, 90), known=unknown) == Refusal(REASONS[0])
    assert cut(image, face(100, 100, 200, 190)) == Refusal(REASONS[1])
    assert cut(image, face(10, 10, 50, 50)) == Refusal(REASONS[2])
    assert cut(image, np.asarray([[60.0, 60], [61, 60], [62, 60], [63, 60], [900, 60]])) == Refusal(REASONS[3])


def test_wrong_shapes_and_settings_are_refused():
    image, points = coordinates(127, 120), face(10, 10, 110, 90)
    for bad in (image[..., :1], image.astype(np.float32)):
        with pytest.raises(InputError, match="photograph"):
            cut(bad, points)
    with pytest.raises(InputError, match="foreground"):
        cut(image, points, np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match="known"):
        cut(image, points, known=np.ones(3, bool))
    for settings in ({"side": 3}, {"margin": 0.5}, {"least_inside": 0.0}, {"smallest_face": -1.0}):
        with pytest.raises(InputError, match="data"):
            SampleConfig(**settings)


def made_sample(seed=0, side=48, points=30, head="generic") -> Sample:
    """A smooth picture with random points."""
    random = np.random.default_rng(seed)
    waves = np.sin(np.linspace(0, 3, side)[:, None, None] * random.uniform(0.5, 2, 3) + np.arange(side)[:, None] / 9)
    return Sample(
        image=(127 + 100 * waves).astype(np.uint8),
        points=random.uniform(-5, side, (points, 2)).astype(np.float32),
        known=random.random(points) < 0.8,
        foreground=np.where(np.add.outer(np.arange(side), np.arange(side)) > side, 255, 0).astype(np.uint8),
        face_box=np.asarray([5, 6, 30, 40], np.float32),
        head=head,
        source={"dataset": "test", "subject": str(seed)},
    )


def test_a_record_gives_back_the_sample_and_the_same_bytes():
    sample = made_sample()
    record = encode_sample(sample)
    found = decode_sample(record)
    for name in ("points", "known", "foreground", "face_box"):
        np.testing.assert_array_equal(getattr(found, name), getattr(sample, name))
    assert np.abs(found.image.astype(int) - sample.image).mean() < 2.5
    assert (found.head, found.source) == (sample.head, sample.source)
    assert encode_sample(sample) == record and encode_sample(made_sample(1)) != record


def test_damaged_records_are_refused():
    record = encode_sample(made_sample())
    with pytest.raises(InputError, match="no sample"):
        decode_sample(record[: len(record) // 2])
    with pytest.raises(InputError, match="no sample"):
        decode_sample(b"")
    for name in ("image", "points", "about"):
        with pytest.raises(InputError, match="no sample"):
            decode_sample(_replaced(record, name, np.zeros(4, np.float32)))
    nan = np.full((30, 2), np.nan, np.float32)
    with pytest.raises(InputError, match="finite"):
        decode_sample(_replaced(record, "points", nan))


def test_a_record_with_pickled_objects_is_refused():
    with pytest.raises(InputError, match="no sample"):
        decode_sample(_replaced(encode_sample(made_sample()), "points", np.asarray([{}], object)))


def _replaced(record, name, array):
    """The record with another array under a name."""
    with zipfile.ZipFile(io.BytesIO(record)) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    payload = io.BytesIO()
    np.lib.format.write_array(payload, array, allow_pickle=True)
    members[f"{name}.npy"] = payload.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, content in members.items():
            archive.writestr(entry, content)
    return buffer.getvalue()


def test_samples_of_one_kind_make_a_batch():
    samples = [made_sample(seed) for seed in range(3)]
    batch = stack_samples(samples, [7, 8, 2**32 - 1])
    assert batch.image.shape == (3, 48, 48, 3) and batch.index.dtype == np.uint32
    np.testing.assert_array_equal(batch.points[2], samples[2].points)
    for other in (made_sample(side=32), made_sample(points=4), dataclasses.replace(samples[0], head="flame")):
        with pytest.raises(InputError, match="one head and one side"):
            stack_samples([samples[0], other], [0, 1])
