"""The paper's table 6: pictures of head avatars (INSTA) made from tracks, on the videos of INSTA.

    python experiments/table6.py --truth PICTURES --pictures MPT=RENDERS/mpt Ours=RENDERS/ours \\
        --lpips ALEXNET --heads LINEAR
    python experiments/table6.py --synthetic output/benchmark

PICTURES has a folder of true pictures for each sequence, RENDERS/NAME the avatar's under the same names; what counts is
the held-out end of each video. Without data, the synthetic captures are drawn again as each method tracked them.

What the paper used and we do not have: INSTA itself (its C++ program trains an avatar from a track; its licence is not
ours to pass on) and its data. LPIPS needs weights by path, without which its column is empty.
"""

from paper_tables.avatars import avatar_table
from paper_tables.output import run

from flowface_jax.evaluation import published

if __name__ == "__main__":
    run(lambda: avatar_table("table6", __doc__, published.AVATARS_INSTA, middle=None))
