"""Trackers that store FLAME parameters: the heads stand where their own programs put them, seen at known pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.evaluation.readers import open_sequence
from flowface_jax.heads.model import vertices
from flowface_jax.heads.source import load_head
from tests.evaluation.readers import replicas
from tests.heads.flame_files import flame_arrays

V = 40
"""Any vertex."""


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return replicas.flame_file(tmp_path_factory.mktemp("flame"))


def _pinhole(local, focal, cx, cy):
    return np.array([focal * local[0] / local[2] + cx, focal * local[1] / local[2] + cy])


def test_metrical_tracker_is_read_as_its_camera_saw_it(tmp_path, head):
    sequence = open_sequence(replicas.metrical_tracker(tmp_path / "person"), head=head)
    x, y, z = replicas.template()[V]
    assert sequence.frame_count == 3 and sequence.name == "person" and sequence.cameras.count == 1
    for frame in range(3):
        expected = _pinhole((x + 0.01 * frame, -y, 1 - z), 500, 150, 130)
        np.testing.assert_allclose(sequence.projected().pixels[frame, V], expected, atol=1e-3)
    assert sequence.projected().size == (replicas.WIDTH, replicas.HEIGHT)


def test_metrical_tracker_needs_no_head_where_it_kept_its_meshes(tmp_path, head):
    folder = replicas.metrical_tracker(tmp_path / "person", frames=2)
    with pytest.raises(MissingAssetError, match="--head"):
        open_sequence(folder)
    arrays = flame_arrays()
    rows = [" ".join(map(str, v)) for v in arrays["v_template"]]
    rows += ["3 " + " ".join(map(str, t)) for t in arrays["f"]]
    header = f"ply\nformat ascii 1.0\nelement vertex {len(arrays['v_template'])}\n"
    header += "property float x\nproperty float y\nproperty float z\n"
    header += f"element face {len(arrays['f'])}\nproperty list uchar int vertex_indices\nend_header\n"
    (folder / "mesh").mkdir()
    for frame in range(2):
        (folder / "mesh" / f"{frame:05d}.ply").write_text(header + "\n".join(rows) + "\n")
    np.testing.assert_allclose(open_sequence(folder).vertices, open_sequence(folder, head=head).vertices, atol=1e-6)


def test_a_camera_that_zooms_is_kept_frame_by_frame(tmp_path, head):
    sequence = open_sequence(replicas.metrical_tracker(tmp_path, focal=lambda f: 500 + 100 * f), head=head)
    x, y, z = replicas.template()[V]
    assert sequence.cameras is None
    expected = _pinhole((x + 0.02, -y, 1 - z), 700, 150, 130)
    np.testing.assert_allclose(sequence.projected().pixels[2, V], expected, atol=1e-3)


def test_jaw_and_lids_move(tmp_path, head):
    rest = open_sequence(replicas.metrical_tracker(tmp_path / "rest", frames=1), head=head).vertices
    jaw = replicas.metrical_tracker(tmp_path / "jaw", frames=1, jaw=replicas.QUARTER_TURN_6D)
    expected = load_head(head, bind_to_atlas=False)
    joints = np.zeros((5, 3), np.float32)
    joints[2, 2] = np.pi / 2
    posed = np.asarray(vertices(expected, np.zeros(3, np.float32), np.zeros(3, np.float32), joints))
    moved = open_sequence(jaw, head=head).vertices[0]
    np.testing.assert_allclose(moved, posed * [1, -1, -1] + [0, 0, 1], atol=1e-5)
    beside = head.parent
    try:
        np.save(beside / "l_eyelid.npy", np.full((len(posed), 3), [0, 0.001, 0], np.float32))
        np.save(beside / "r_eyelid.npy", np.zeros((len(posed), 3), np.float32))
        lids = replicas.metrical_tracker(tmp_path / "lids", frames=1, eyelids=np.float32([[2, 5]]))
        np.testing.assert_allclose(
            open_sequence(lids, head=head).vertices - rest, [[[0, -0.002, 0]] * len(posed)], atol=1e-6
        )
    finally:
        for name in ("l_eyelid.npy", "r_eyelid.npy"):
            (beside / name).unlink()


def test_pixel3dmm_moves_the_head_before_its_base_camera(tmp_path, head):
    folder = replicas.pixel3dmm(tmp_path / "clip")
    sequence = open_sequence(folder, head=head)
    x, y, z = replicas.template()[V]
    for frame in range(2):
        local = (-y, -(x + 0.02), 1 - (z + 0.1 * frame))
        expected = _pinhole(local, 4 * 256, 128 + 0.1 * 128.5, 129)
        np.testing.assert_allclose(sequence.projected().pixels[frame, V], expected, atol=1e-2)
    np.save(folder / "crop_ymin_ymax_xmin_xmax.npy", np.array([100, 612, 300, 812]))
    whole = open_sequence(folder, head=head, image_size=(1920, 1080)).projected()
    assert whole.size == (1920, 1080)
    np.testing.assert_allclose(whole.pixels, 2 * sequence.projected().pixels + [300, 100], atol=1e-2)


def test_vhap_turns_about_the_root_joint_and_leaves_its_teeth_out(tmp_path, head):
    sequence = open_sequence(replicas.vhap_tracker(tmp_path, offset=0.005), head=head)
    arrays = flame_arrays()
    root = arrays["J_regressor"][0] @ arrays["v_template"]
    point = arrays["v_template"][V] + [0.005, 0, 0] - root
    turned = np.array([point[0], -point[2], point[1]]) + root + [0.1, 0.2, 0]
    world = open_sequence(replicas.vhap_tracker(tmp_path / "still"), head=head).vertices[1, V]
    np.testing.assert_allclose(world, arrays["v_template"][V] + [0.1, 0.2, 0], atol=1e-6)
    np.testing.assert_allclose(sequence.vertices[0, V], turned, atol=1e-5)
    expected = _pinhole((turned[0], -turned[1], 1 - turned[2]), 1.5 * 320, 160, 120)
    np.testing.assert_allclose(sequence.projected().pixels[0, V], expected, atol=1e-2)


def test_a_vhap_export_has_one_camera_for_each_of_its_cameras(tmp_path, head):
    sequence = open_sequence(replicas.vhap_export(tmp_path / "export"), head=head)
    x, y, z = replicas.template()[V]
    assert sequence.frame_count == 2 and sequence.cameras.count == 2
    expected = _pinhole((x + 0.03 - 0.2, -y, 1.5 - z), 400, 160, 120)
    np.testing.assert_allclose(sequence.projected(1).pixels[1, V], expected, atol=1e-2)


def test_cap4d_is_posed_as_cap4d_poses(tmp_path, head):
    """At rest its correctives subtract the identity twice, so a constant is left; joints are not chained."""
    rotation, jaw = np.float32([[0, 0.3, 0]] * 2), np.float32([[0.2, 0, 0]] * 2)
    folder = replicas.cap4d_fit(tmp_path / "fit", rot=rotation, jaw_rot=jaw)
    sequence = open_sequence(folder, head=head)
    arrays = flame_arrays()
    joints = arrays["J_regressor"] @ arrays["v_template"]
    turns = np.tile(np.eye(3), (5, 1, 1))
    turns[2] = Rotation.from_rotvec(jaw[0]).as_matrix()
    feature = (turns[[0, 2, 3, 4]] - 2 * np.eye(3)).ravel()
    shaped = arrays["v_template"][V] + arrays["posedirs"][V] @ feature
    posed = sum(
        w * (turn @ shaped + joint - turn @ joint)
        for w, turn, joint in zip(arrays["weights"][V], turns, joints, strict=True)
    )
    world = Rotation.from_rotvec(rotation[0]).as_matrix() @ posed + [0, 0, -1.2]
    expected = _pinhole((world[0], -world[1], -world[2]), 600, 160, 120)
    np.testing.assert_allclose(sequence.projected().pixels[1, V], expected, atol=1e-2)
    assert sequence.frames_per_second == 30


def test_cap4d_frames_without_a_face_are_invalid(tmp_path, head):
    fit = replicas.cap4d_fit(tmp_path, frames=3, valid_mask=np.array([[True, False, True]]))
    assert open_sequence(fit / "fit.npz", head=head).valid.tolist() == [True, False, True]


def test_deca_is_seen_without_perspective_in_its_crop_or_in_the_image(tmp_path, head):
    plain = open_sequence(replicas.deca_codes(tmp_path / "codes.npz"), head=head)
    x, y, z = replicas.template()[V]
    crop = np.array([8 * (x + 0.01) + 1, -8 * (y - 0.02) + 1]) * 112
    np.testing.assert_allclose(plain.projected().pixels[1, V], crop, atol=1e-2)
    assert plain.projected().size == (224, 224) and plain.cameras is None
    tform = np.array([[0.5, 0, -10], [0, 0.5, -20], [0, 0, 1]], np.float32)
    codes = replicas.deca_codes(tmp_path / "placed.npz", tform=np.tile(tform, (2, 1, 1)))
    image = open_sequence(codes, head=head, image_size=(640, 480)).projected()
    assert image.size == (640, 480)
    np.testing.assert_allclose(image.pixels[1, V], 2 * (crop + [10, 20]), atol=1e-2)
    nose, nape = int(np.argmax(replicas.template()[:, 2])), int(np.argmin(replicas.template()[:, 2]))
    assert image.depth[0, nose] < image.depth[0, nape]


def test_emoca_folders_are_frames_in_natural_order(tmp_path, head):
    for frame in (2, 10, 1):
        folder = tmp_path / f"image_{frame}"
        folder.mkdir()
        for key, length in (("shape", 100), ("exp", 50), ("pose", 6)):
            np.save(folder / f"{key}.npy", np.zeros(length, np.float32))
        np.save(folder / "cam.npy", np.float32([8, 0.001 * frame, 0]))
    pixels = open_sequence(tmp_path, head=head).projected().pixels
    assert pixels.shape[0] == 3
    np.testing.assert_allclose(pixels[2, V] - pixels[0, V], [9 * 0.001 * 8 * 112, 0], atol=1e-2)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: replicas.vhap_tracker(p),
        lambda p: replicas.cap4d_fit(p),
        lambda p: replicas.deca_codes(p.with_suffix(".npz")),
        lambda p: replicas.pixel3dmm(p),
    ],
    ids=["vhap", "cap4d", "deca", "pixel3dmm"],
)
def test_parameters_without_their_head_say_so(make, tmp_path):
    with pytest.raises(MissingAssetError, match="--head") as error:
        open_sequence(make(tmp_path / "output"))
    assert "\n" not in str(error.value)


def test_meshes_of_another_topology_are_refused(tmp_path, head):
    wrong = replicas.deca_codes(tmp_path / "codes.npz", verts=np.zeros((2, 50, 3), np.float32))
    with pytest.raises(InputError, match="expected verts of 197 vertices"):
        open_sequence(wrong, head=head)


def test_damaged_checkpoints_and_codes_are_refused_in_one_line(tmp_path, head):
    folder = replicas.metrical_tracker(tmp_path / "cut", frames=2)
    file = folder / "checkpoint" / "00000.frame"
    file.write_bytes(file.read_bytes()[:200])
    codes = replicas.deca_codes(tmp_path / "codes.npz", cam=np.zeros((3, 3), np.float32))
    for path in (folder, codes):
        with pytest.raises(InputError) as error:
            open_sequence(path, head=head)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
