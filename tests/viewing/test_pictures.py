"""Overlays, shaded meshes and sheets show what they claim to."""

import time

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.viewing.colours import alarm_colours, value_colours
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.shading import shade
from flowface_jax.viewing.tiling import contact_sheet, limited, tile_views
from flowface_jax.viewing.visibility import front_facing, visible_triangles
from tests.viewing.shapes import projected, sphere

GREY = np.full((192, 256, 3), 90, np.uint8)


def test_half_of_a_sphere_faces_the_camera_and_it_is_the_near_half():
    vertices, triangles = sphere()
    facing = front_facing(projected(vertices), triangles)
    depth = vertices[triangles].mean(1)[:, 2]
    assert 0.35 < facing.mean() < 0.55
    assert depth[facing].max() < 1.0 + 1e-6


def test_a_near_sphere_hides_one_behind_it():
    near, triangles = sphere(centre=(0, 0, 0.7))
    far, _ = sphere(centre=(0, 0, 1.4))
    beside, _ = sphere(centre=(0.6, 0, 1.4))
    vertices = np.concatenate([near, far, beside])
    count, size = len(triangles), len(near)
    every = np.concatenate([triangles, triangles + size, triangles + 2 * size])
    seen = visible_triangles(projected(vertices), vertices[:, 2], every)
    facing = front_facing(projected(vertices), every)
    assert not seen[count : 2 * count].any()
    assert seen[:count].sum() > 0.9 * facing[:count].sum()
    assert seen[2 * count :].sum() > 0.9 * facing[2 * count :].sum()


def test_a_mesh_behind_the_camera_is_not_seen():
    vertices, triangles = sphere(centre=(0, 0, -1))
    assert not visible_triangles(projected(vertices), vertices[:, 2], triangles).any()
    picture = shade(vertices, triangles, 500, (128, 96), (256, 192))
    assert (picture == 255).all()


def test_shading_puts_the_mesh_where_the_camera_sees_it():
    vertices, triangles = sphere(centre=(0.05, -0.02, 1.0))
    picture = shade(vertices, triangles, 500.0, np.asarray([128.0, 96.0]), (256, 192))
    assert picture.shape == (192, 256, 3) and picture.dtype == np.uint8
    rows, columns = np.nonzero((picture < 250).any(-1))
    assert columns.mean() + 0.5 == pytest.approx(128 + 25, abs=0.6)
    assert rows.mean() + 0.5 == pytest.approx(96 - 10, abs=0.6)
    assert np.ptp(columns) == pytest.approx(2 * 500 * 0.1, rel=0.04)


def test_shading_shows_vertex_colours_and_what_is_nearer():
    near, triangles = sphere(centre=(0, 0, 0.7), radius=0.05)
    far, _ = sphere(centre=(0, 0, 1.4))
    colours = np.concatenate([np.tile([1.0, 0, 0], (len(near), 1)), np.tile([0, 0, 1.0], (len(far), 1))])
    picture = shade(
        np.concatenate([near, far]),
        np.concatenate([triangles, triangles + len(near)]),
        500,
        (128, 96),
        (256, 192),
        colours,
    )
    middle = picture[96, 128].astype(int)
    assert middle[0] > 100 and middle[2] < 10


def test_shading_keeps_the_background_picture_elsewhere():
    vertices, triangles = sphere()
    picture = shade(vertices, triangles, 500, (128, 96), (256, 192), background=GREY)
    assert (picture[:20] == 90).all() and (picture[96, 128] != 90).any()


def test_overlay_draws_on_the_mesh_only_and_leaves_the_frame_alone():
    vertices, triangles = sphere()
    pixels = projected(vertices)
    frame = GREY.copy()
    picture = draw_overlay(frame, mesh_px=pixels, triangles=triangles, visible=front_facing(pixels, triangles))
    assert (frame == GREY).all()
    rows, columns = np.nonzero((picture != GREY).any(-1))
    radius = np.hypot(columns + 0.5 - 128, rows + 0.5 - 96)
    assert radius.max() < 53 and len(rows) > 1000


def test_points_are_red_where_they_disagree_and_absent_where_unobserved():
    observed = np.asarray([[50.5, 60.5], [100.5, 60.5], [150.5, 60.5], [200.5, 60.5]])
    points = observed + np.asarray([[0, 0], [9, 0], [9, 0], [0, 0]])
    std = np.asarray([1.0, 3.0, 9.0, np.inf])
    picture = draw_overlay(GREY, observed_px=observed, points_px=points, std_px=std, residual_limit=3).astype(int)
    good, bad, tolerated = (picture[60, x] for x in (50, 100, 150))
    assert bad[0] > 180 and bad[2] < 60
    assert good[2] > good[0] + 50
    assert tolerated[0] < bad[0]
    assert (picture[60, 200] == 90).all()


def test_a_flagged_frame_has_a_red_border():
    plain, flagged = draw_overlay(GREY, caption="frame 1"), draw_overlay(GREY, warning="no face was found")
    assert (plain[0] == 90).all()
    assert (flagged[0, :, 0] > 200).all() and (flagged[:, -1, 0] > 200).all()


def test_unusable_numbers_do_not_break_the_picture():
    vertices, triangles = sphere()
    pixels = projected(vertices)
    pixels[::7] = np.nan
    pixels[3] = 1e12
    observed = np.asarray([[np.nan, 1], [1e12, 5], [-1e9, 2]])
    picture = draw_overlay(
        GREY, mesh_px=pixels, triangles=triangles, observed_px=observed, points_px=observed, caption="x"
    )
    assert picture.shape == GREY.shape


def test_four_k_frames_are_scaled_down_and_the_drawing_with_them():
    frame = np.zeros((2160, 3840, 3), np.uint8)
    picture = draw_overlay(frame, observed_px=np.asarray([[1921.5, 1081.5]]))
    assert picture.shape == (720, 1280, 3)
    rows, columns = np.nonzero(picture.any(-1))
    assert columns.mean() == pytest.approx(640, abs=1) and rows.mean() == pytest.approx(360, abs=1)


def test_drawing_keeps_up_with_a_film():
    vertices, triangles = sphere(rings=32, segments=64, radius=0.4)
    pixels = projected(vertices, middle=(256, 256))
    frame = np.full((512, 512, 3), 90, np.uint8)
    arguments = dict(mesh_px=pixels, triangles=triangles[:2000], observed_px=pixels[:478], points_px=pixels[:478] + 1)
    draw_overlay(frame, caption="frame 1", **arguments)
    durations = []
    for _ in range(5):
        start = time.perf_counter()
        draw_overlay(frame, caption="frame 1", **arguments)
        durations.append(time.perf_counter() - start)
    # It takes a third of that on an idle machine.
    assert min(durations) < 1 / 30


def test_colours_grow_with_the_value_and_nan_is_grey():
    scale = value_colours(np.linspace(0, 2, 9), 2.0).astype(int).sum(-1)
    assert (np.diff(scale) > 0).all()
    assert value_colours(np.asarray([np.nan]), 1.0).tolist() == [[128, 128, 128]]
    assert (value_colours(np.asarray([5.0]), 2.0) == value_colours(np.asarray([2.0]), 2.0)).all()
    assert alarm_colours(np.zeros((3, 4)), 1.0).shape == (3, 4, 3)


def test_views_are_tiled_in_one_row_no_wider_than_asked():
    tiled = tile_views(
        [np.full((400, 600, 3), 50, np.uint8), np.full((800, 600, 3), 200, np.uint8)], maximum_width=1000
    )
    assert tiled.shape[1] <= 1000
    half = tiled.shape[1] // 2
    assert (tiled[tiled.shape[0] // 2, half // 2] == 50).all()
    assert (tiled[tiled.shape[0] // 2, half + half // 2] == 200).all()
    assert tile_views([GREY] * 16, maximum_width=1920).shape[1] <= 1920


def test_contact_sheets_read_row_by_row():
    sheet = contact_sheet([np.full((48, 64, 3), 40 * k, np.uint8) for k in range(5)], columns=3, cell_width=64, gap=2)
    assert sheet.shape == (98, 196, 3)
    assert [int(sheet[24, 32 + 66 * k, 0]) for k in range(3)] == [0, 40, 80]
    assert [int(sheet[74, 32 + 66 * k, 0]) for k in range(2)] == [120, 160]
    with pytest.raises(InputError, match="none"):
        contact_sheet([], 3)


def test_small_pictures_are_never_enlarged():
    same, scale = limited(GREY, 1280)
    assert same is GREY and scale == 1.0
    smaller, scale = limited(GREY, 128)
    assert smaller.shape == (96, 128, 3) and scale == 0.5
