"""The published numbers, checked against the paper's tables at single places, each table by its shape."""

from flowface_jax.evaluation import published


def _value(table, row, column):
    names = [one.name for one in table.columns]
    return next(one for one in table.rows if one.name == row).values[names.index(column)]


def test_table_1():
    assert len(published.FACESCAPE.rows) == 7
    assert _value(published.FACESCAPE, "HRN", "NME") == 0.087 and _value(published.FACESCAPE, "FlowFace", "CD") == 2.21


def test_table_2_without_temporal_information():
    table = published.MULTIFACE_SINGLE_IMAGE
    assert [row.name for row in table.rows] == ["DECA", "EMOCA", "HRN", "3DDFAv2", "PRNet", "SADRNet", "FlowFace"]
    assert _value(table, "FlowFace", "SSME face") == 2.58 and _value(table, "FlowFace", "CD ears") == 2.34
    assert _value(table, "PRNet", "SSME mouth") == 10.66 and _value(table, "HRN", "SSME ears") is None


def test_table_2_with_temporal_information():
    table = published.MULTIFACE_SEQUENCE
    assert (
        len(table.rows) == 8 and _value(table, "MPT", "CD nose") == 1.11 and _value(table, "MPT", "SSME face") == 5.74
    )
    assert _value(table, "FlowFace", "SSME nose") == 1.27 and _value(table, "DECA", "SSME ears") == 7.10


def test_table_2_states_that_a_filter_does_not_change_the_chamfer_distance():
    single = {row.name: row.values[:5] for row in published.MULTIFACE_SINGLE_IMAGE.rows}
    assert all(
        row.values[:5] == single[row.name]
        for row in published.MULTIFACE_SEQUENCE.rows
        if row.name not in ("MPT", "FlowFace")
    )


def test_the_gains_that_the_text_states_follow_from_the_rows():
    """54 % on single images over DECA, 46 % on sequences over HRN, 8 % in CD over MPT."""
    single, sequence = published.MULTIFACE_SINGLE_IMAGE, published.MULTIFACE_SEQUENCE
    assert round(100 * (1 - _value(single, "FlowFace", "SSME face") / _value(single, "DECA", "SSME face"))) == 54
    assert round(100 * (1 - _value(sequence, "FlowFace", "SSME face") / _value(sequence, "HRN", "SSME face"))) == 46
    assert round(100 * (1 - _value(sequence, "FlowFace", "CD face") / _value(sequence, "MPT", "CD face"))) == 8


def test_table_4():
    table = published.NETWORK_ABLATION
    assert [row.values[0] for row in table.rows] == [None, 3, 3, 3, 1, 2, 3, 4]
    assert _value(table, "MiT-b2", "latency") == 46 and _value(table, "MiT-b5, 3", "SSME") == 2.58
    assert _value(table, "BiSeNet-v2", "parameters") == 17.6 and _value(table, "ResNet-101", "CD") == 1.54


def test_table_5():
    single, multi = published.FIT_ABLATION_SINGLE_VIEW, published.FIT_ABLATION_MULTI_VIEW
    assert _value(single, "MICA only", "mean") == 1.13 and _value(single, "FlowFace", "median") == 0.82
    assert _value(multi, "without offsets", "std") == 0.72 and _value(multi, "without MICA", "mean") == 0.88


def test_alignment_of_section_4_5():
    assert [row.values[0] for row in published.ALIGNMENT.rows] == [2.52, 1.63, 1.30]
