"""The anatomical points and dimensions of the built-in head, in millimetres: the only place where its shape is written.

Frame: x towards the subject's left, y up, z out of the face; the origin lies midway between the tragions, and the
Frankfurt plane is level. Every point is given once, on the left half (x ≥ 0); the right half is its mirror image.

The dimensions are of the order of published adult anthropometry, averaged over the sexes: nasion-subnasale 51,
subnasale-stomion 21, stomion-gnathion 41, face width 138, jaw width 111, head length 190, head width 154,
tragion-vertex 131, biocular width 89, intercanthal width 34, palpebral fissure 28 x 10, mouth width 50, nose width
35, nose protrusion 17, ear 61 x 35 (as tabulated by L. G. Farkas, Anthropometry of the Head and Face, 1994; rounded,
not checked figure by figure), eyeball radius 12, corneal limbus radius 5.9. The points were placed by hand to meet
them, and moved by hand while the surface was compared with the neutral head of ICT-FaceKit; no vertex of that or any
other mesh is taken.
"""

from __future__ import annotations

from typing import Final

Point = tuple[float, float, float]

DOMAIN_CENTRE: Final[Point] = (0.0, 5.0, 5.0)
"""The point from which the whole head except ears, nostrils, lids and lips is star-shaped."""

MIDLINE: Final[dict[str, Point]] = {
    "neck_rim_front": (0, -158, 38),
    "suprasternal": (0, -140, 39),
    "thyroid": (0, -118, 45),
    "cervicale": (0, -98, 52),
    "submental": (0, -90, 66),
    "menton": (0, -82.5, 81),
    "gnathion": (0, -77.5, 90),
    "pogonion": (0, -68, 94),
    "mental_upper": (0, -61, 94),
    "sublabiale": (0, -53.5, 92.5),
    "philtrum": (0, -22, 99.5),
    "subnasale": (0, -15.5, 98),
    "columella": (0, -12, 106),
    "infratip": (0, -8.5, 113),
    "pronasale": (0, -2.5, 114.5),
    "supratip": (0, 3, 113),
    "nose_bridge_low": (0, 10, 107),
    "rhinion": (0, 19, 99.5),
    "nose_bridge_high": (0, 28, 92.5),
    "nasion": (0, 36, 89.5),
    "glabella_low": (0, 44, 91.5),
    "glabella": (0, 52, 92),
    "frontal": (0, 64, 90.5),
    "metopion": (0, 77, 87.5),
    "trichion": (0, 96, 78),
    "frontal_hair": (0, 115, 60),
    "bregma": (0, 127, 30),
    "vertex": (0, 131, 2),
    "obelion": (0, 127, -34),
    "lambda": (0, 109, -67),
    "occiput_high": (0, 77, -91),
    "opisthocranion": (0, 40, -98.5),
    "occiput_low": (0, 8, -91),
    "inion": (0, -18, -79),
    "nape_high": (0, -50, -66),
    "nape": (0, -85, -63),
    "nape_low": (0, -120, -68),
    "neck_rim_back": (0, -150, -76),
}

FOREHEAD: Final[dict[str, Point]] = {
    "glabella_side": (9, 47.5, 91),
    "brow_inner": (17, 48.5, 90.5),
    "brow_middle": (28, 51.5, 88),
    "brow_peak": (38, 52.5, 83),
    "brow_outer": (49, 49, 75),
    "above_brow_inner": (15, 62, 89.5),
    "above_brow_middle": (31, 62, 84.5),
    "above_brow_outer": (46, 61, 74),
    "frontal_eminence": (24.5, 77.5, 82),
    "forehead_side": (42, 75.5, 71.5),
    "temporal_line": (57, 68, 58),
    "temple_high": (66, 64, 36),
    "temple": (62.5, 46, 50),
    "temple_front": (57.5, 43, 62),
    "temple_back": (69, 40, 27),
    "hairline_middle": (28, 97, 71.5),
    "hairline_side": (49, 95, 53),
}

ORBIT_AND_CHEEK: Final[dict[str, Point]] = {
    "orbit_upper_inner": (15, 41, 83.5),
    "orbit_upper_middle": (30, 44.5, 83.5),
    "orbit_upper_outer": (45, 42, 77),
    "orbit_outer": (53, 33, 65.5),
    "orbit_lower_outer": (47, 20, 71.5),
    "orbit_lower_middle": (33, 17, 77.5),
    "orbit_lower_inner": (20, 19, 79),
    "lid_fold_inner": (21, 37.5, 79.5),
    "lid_fold": (31, 40.3, 80.5),
    "lid_fold_outer": (42, 37.5, 76),
    "tear_trough": (14.5, 23.5, 79.5),
    "zygoma_outer": (63, 27, 50.5),
    "zygion": (69, 10, 30),
    "zygoma_front": (59, 13, 60),
    "cheekbone": (49, 9, 71.5),
    "infraorbital": (35, 7, 80),
    "cheek_by_nose": (23, 6, 83.5),
    "cheek_upper": (31, -6, 84),
    "cheek_apple": (42, -4, 77.5),
    "cheek_side": (57.5, -5, 63),
    "cheek_back": (66, -6, 38),
    "nasolabial_upper": (23, -9, 86.5),
    "nasolabial_middle": (27.5, -20, 86),
    "nasolabial_lower": (32.5, -31, 83.5),
    "cheek_middle": (44, -21, 74),
    "cheek_hollow": (57, -23, 57.5),
    "masseter_upper": (64.5, -22, 34),
    "masseter": (61.5, -38, 27),
    "cheek_lower": (51, -40, 60.5),
    "cheek_by_mouth": (37, -38, 77.5),
    "preauricular": (70.5, 4, 10),
    "preauricular_high": (71, 20, 12),
    "below_lobe": (65.5, -30, 5),
}

LOWER_FACE: Final[dict[str, Point]] = {
    "philtrum_ridge": (5, -21.5, 99.5),
    "upper_lip_side": (14, -22.5, 95),
    "upper_lip_far": (21, -28, 90.5),
    "mouth_corner_below": (28.5, -44, 82.5),
    "marionette": (27, -54, 82.5),
    "below_lip_side": (12, -53, 91),
    "chin_side": (12, -66, 91.5),
    "chin_corner": (18, -75, 84),
    "chin_fold_side": (20.5, -61, 86.5),
    "jaw_front": (31, -68, 74),
    "jaw_front_edge": (26.5, -76, 71),
    "jaw_middle": (43, -60, 60),
    "jaw_middle_edge": (41, -69, 54),
    "jaw_side": (54, -53, 43),
    "jaw_side_edge": (49.5, -63, 36),
    "gonion": (55.5, -54, 15),
    "gonion_edge": (52, -63, 13),
    "ramus_back": (58.5, -44, 0),
    "submental_side": (22, -87, 58),
    "submandibular": (38, -79, 36),
    "submandibular_back": (46, -74, 12),
}

NOSE: Final[dict[str, Point]] = {
    "nasion_side": (7, 35, 85.5),
    "bridge_high_ridge": (4.5, 27, 90.5),
    "bridge_high_side": (10, 25.5, 83),
    "bridge_ridge": (5, 18, 97),
    "bridge_side": (11.5, 16.5, 88),
    "nose_base_high": (16.5, 15.5, 82.5),
    "bridge_low_ridge": (5.5, 9, 104),
    "bridge_low_side": (11, 8, 97),
    "nose_base_middle": (17.5, 6, 87),
    "tip_side": (5.5, -2, 113.5),
    "tip_lower_side": (4, -8, 111.5),
    "dome_side": (9.5, 0.5, 107),
    "alar_groove_upper": (13.5, 2.5, 96.5),
    "alar_top": (14.5, -3, 102),
    "alar_front": (12, -6.5, 106),
    "alare": (17.5, -7.5, 98.5),
    "alar_rim": (14.2, -10.5, 101.5),
    "alar_crease": (18, -8.5, 91),
    "alar_crease_upper": (17.5, -1.5, 91.5),
    "alar_base": (13.5, -15, 93),
    "nostril_sill": (8, -15, 96),
    "columella_side": (2.8, -11.8, 105.5),
}

SKULL_AND_NECK: Final[dict[str, Point]] = {
    "temporal": (73, 42, 4),
    "above_ear": (75, 38, -18),
    "euryon": (77, 62, -12),
    "euryon_front": (73.5, 66, 12),
    "parietal_low": (73, 58, -45),
    "behind_ear": (72, 12, -32),
    "behind_ear_high": (74, 34, -38),
    "mastoid": (67, -16, -24),
    "upper_side_front": (66, 93, 26),
    "upper_side": (69.5, 93, -12),
    "upper_side_back": (61, 93, -50),
    "crown_front": (29, 115, 51),
    "crown_side_front": (45, 114, 26),
    "crown_side": (48, 115, -8),
    "crown_side_back": (42, 112, -42),
    "crown_back": (22, 109, -63),
    "vertex_side": (24, 127.5, 2),
    "vertex_side_back": (22, 123.5, -33),
    "vertex_side_front": (20, 124, 29),
    "parietal_back": (48, 82, -74),
    "occiput_side_high": (28, 78, -87),
    "occiput_side": (31, 38, -93),
    "occiput_far": (57, 36, -73),
    "occiput_side_low": (28, 5, -85),
    "occiput_far_low": (52, 4, -65),
    "nuchal_side": (25, -22, -73),
    "nuchal_far": (49, -25, -53),
    "neck_side_high": (56, -52, -22),
    "neck_back_high": (38, -56, -52),
    "neck_back": (37, -90, -50),
    "neck_side": (56, -92, -18),
    "neck_front": (40, -100, 24),
    "neck_front_high": (21, -105, 46),
    "neck_low_front": (22, -135, 37),
    "neck_low_side_front": (46, -135, 14),
    "neck_low_side": (59, -130, -22),
    "neck_low_back": (39, -125, -56),
    "neck_rim_front_side": (24, -158, 35),
    "neck_rim_side_front": (49, -157, 12),
    "neck_rim_side": (63, -155, -26),
    "neck_rim_side_back": (42, -152, -62),
}

CURVES: Final[tuple[tuple[str, ...], ...]] = (
    ("glabella", "glabella_side", "brow_inner", "brow_middle", "brow_peak", "brow_outer"),
    ("nasion_side", "orbit_upper_inner", "orbit_upper_middle", "orbit_upper_outer", "orbit_outer"),
    ("tear_trough", "orbit_lower_inner", "orbit_lower_middle", "orbit_lower_outer", "orbit_outer"),
    ("lid_fold_inner", "lid_fold", "lid_fold_outer"),
    ("sublabiale", "below_lip_side", "marionette"),
    ("subnasale", "nostril_sill", "alar_base"),
    ("frontal", "above_brow_inner", "above_brow_middle", "above_brow_outer"),
    ("gnathion", "chin_corner", "jaw_front_edge", "jaw_middle_edge", "jaw_side_edge", "gonion_edge"),
    ("pogonion", "chin_side", "chin_fold_side", "jaw_front", "jaw_middle", "jaw_side", "gonion"),
    ("nasolabial_upper", "nasolabial_middle", "nasolabial_lower"),
)
"""Ridges and furrows: between these points the skin follows a smooth curve."""

EYE_CENTRE: Final[Point] = (31.5, 30.0, 65.0)
EYE_RADIUS: Final[float] = 12.0
LIMBUS_RADIUS: Final[float] = 5.9
CORNEA_BULGE: Final[float] = 0.5
LID_THICKNESS: Final[float] = 1.7
LID_CLEARANCE: Final[float] = 0.35
"""Gap between the lid's inner edge and the eyeball; more than a real tear film, so that linear blinks stay outside."""

# Lid margins, (x, y) about the eye's centre, from the inner to the outer corner.
LID_UPPER: Final[tuple[tuple[float, float], ...]] = (
    (-14.5, -1.8),
    (-12.5, 0.0),
    (-9, 2.7),
    (-4.5, 4.2),
    (0, 4.6),
    (5, 4.1),
    (9.5, 2.6),
    (13.3, 0.2),
)
LID_LOWER: Final[tuple[tuple[float, float], ...]] = (
    (-14.5, -1.8),
    (-12.3, -2.6),
    (-8.5, -3.7),
    (-3.5, -4.7),
    (1.5, -5.1),
    (6.5, -4.4),
    (10.5, -2.4),
    (13.3, 0.2),
)
INNER_CANTHUS_DEPTH: Final[float] = 8.0
OUTER_CANTHUS_DEPTH: Final[float] = 3.0

# Lip curves, from the midline to the corner.
LIP_CONTACT: Final[tuple[Point, ...]] = (
    (0, -36.9, 96.3),
    (6, -36.4, 95.8),
    (12, -36.6, 93.8),
    (18, -37.1, 90.6),
    (22, -37.6, 87.4),
    (25, -38.0, 84.6),
)
LIP_UPPER_MIDDLE: Final[tuple[Point, ...]] = (
    (0, -33.8, 102.7),
    (5, -33.2, 101.9),
    (11, -33.6, 99.0),
    (18, -35.3, 93.8),
    (23, -36.7, 88.6),
    (26.2, -38.0, 85.6),
)
LIP_UPPER_BORDER: Final[tuple[Point, ...]] = (
    (0, -29.6, 102.3),
    (5, -28.2, 101.8),
    (11, -29.6, 98.9),
    (18, -33.0, 93.9),
    (24, -35.6, 88.6),
    (28.2, -38.1, 84.9),
)
LIP_LOWER_MIDDLE: Final[tuple[Point, ...]] = (
    (0, -40.8, 101.0),
    (6, -40.9, 100.2),
    (12, -40.5, 97.2),
    (18, -39.6, 92.6),
    (23, -38.9, 88.0),
    (26.2, -38.0, 85.6),
)
LIP_LOWER_BORDER: Final[tuple[Point, ...]] = (
    (0, -46.3, 98.5),
    (6, -46.1, 97.9),
    (12, -45.0, 95.4),
    (18, -42.6, 91.4),
    (24, -40.4, 87.4),
    (28.2, -38.1, 84.9),
)
LIP_CORNER_X: Final[float] = 25.0
LIP_DOMAIN_OPENING: Final[float] = 5.0
"""Half height of the slit that separates the closed lips in the atlas."""

# Nostril rim on the underside of the nose, counter-clockwise seen from below in front (x towards the left).
NOSTRIL_CENTRE: Final[Point] = (7.3, -11.6, 104.5)
NOSTRIL_RIM: Final[tuple[Point, ...]] = (
    (10.8, -12.4, 104.0),
    (10.0, -11.0, 106.5),
    (7.6, -10.2, 109.0),
    (5.0, -10.6, 109.3),
    (3.9, -11.6, 107.2),
    (4.0, -12.8, 104.2),
    (4.6, -14.2, 101.3),
    (6.8, -15.0, 99.8),
    (9.4, -14.6, 100.2),
    (10.8, -13.7, 101.7),
)
NOSTRIL_DEPTH: Final[float] = 8.0

# Auricle in its own plane: (backward, upward), from the top of its attachment over the helix to the lobe and tragus.
EAR_ORIGIN: Final[Point] = (70.5, 11.0, 1.0)
EAR_FLARE_DEGREES: Final[float] = 24.0
EAR_TILT_DEGREES: Final[float] = 12.0
EAR_CENTRE: Final[tuple[float, float]] = (10.5, -2.0)
EAR_OUTLINE: Final[tuple[tuple[float, float], ...]] = (
    (1.0, 15.0),
    (3.5, 23.0),
    (9.0, 29.5),
    (17.0, 32.0),
    (25.5, 29.5),
    (31.5, 22.0),
    (33.5, 12.0),
    (32.0, 2.0),
    (28.0, -7.0),
    (23.0, -15.0),
    (19.0, -23.0),
    (13.5, -29.0),
    (7.0, -29.0),
    (3.0, -23.5),
    (0.5, -15.0),
    (-1.0, -7.0),
    (-1.5, 0.0),
    (-0.5, 8.0),
)

TEMPOROMANDIBULAR: Final[Point] = (52.0, -4.0, 12.0)
NECK_JOINT: Final[Point] = (0.0, -70.0, -12.0)
ROOT_JOINT: Final[Point] = (0.0, -150.0, -18.0)
