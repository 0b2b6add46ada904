"""A fit can be looked at while it goes on, and comes out the same for it."""

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.snapshots import LIVE_FOLDER, PERIOD, SHARE, SnapshotWriter
from flowface_jax.fitting.track import Track
from tests.fitting.small import small_cameras, small_head, small_performance
from tests.viewing.browser.shows import shown_track

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")


@pytest.fixture(scope="module")
def case():
    """A head that can be fitted, and what two cameras see of it."""
    head = small_head()
    return head, small_cameras(), small_performance(head)


class Time:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("solver", [pytest.param("levenberg_marquardt", marks=pytest.mark.minutes), "adamw"])
def test_solutions_in_between_are_tracks_whose_energy_falls_and_watching_changes_nothing(case, solver):
    head, cameras, observed = case
    config = FitConfig(solver=solver, max_steps=120, error_bars=False)
    seen = []
    result = fit(observed, head, cameras, config, watch=lambda make: seen.append(make()))
    assert len(seen) >= 2
    for track in seen:
        assert np.isfinite(track.world_vertices(head, 0)).all() and track.summary["unfinished"]
        assert np.isnan(track.residual_px).all() and track.verdict is None
    energies = seen[-1].energy_history
    assert len(energies) > len(seen[0].energy_history) and energies[-1] < energies[0]
    first, last, final = (np.asarray(track.world_vertices(head, 0)) for track in (seen[0], seen[-1], result))
    assert np.abs(last - final).max() <= np.abs(first - final).max()
    alone = fit(observed, head, cameras, config)
    assert np.array_equal(alone.expression, result.expression)
    assert np.array_equal(alone.head_translation, result.head_translation)


def test_snapshots_are_written_now_and_then_and_removed_at_the_end(tmp_path):
    clock, made = Time(), []

    def make():
        made.append(clock.now)
        return shown_track()

    writer = SnapshotWriter(tmp_path, clock)
    for clock.now in (0.0, 0.9 * PERIOD, 1.1 * PERIOD):
        writer.offer(make)
    assert made == [0.0, 1.1 * PERIOD]
    assert Track.load(tmp_path / LIVE_FOLDER).frame_count == 5
    writer.clear()
    assert not (tmp_path / LIVE_FOLDER).exists()
    writer.clear()


def test_slow_snapshots_take_a_small_part_of_the_time(tmp_path):
    clock, made = Time(), []

    def make():
        made.append(clock.now)
        clock.now += 10.0
        return shown_track()

    writer = SnapshotWriter(tmp_path, clock)
    for second in range(0, 500):
        clock.now = max(clock.now, float(second))
        writer.offer(make)
    assert 10.0 * len(made) <= 2 * SHARE * 500 and len(made) >= 2


def test_a_snapshot_of_another_head_is_refused(tmp_path):
    SnapshotWriter(tmp_path).offer(shown_track)
    with pytest.raises(InputError):
        Track.load(tmp_path / LIVE_FOLDER).neutral_vertices(small_head())
