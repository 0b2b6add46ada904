"""Pictures: overlays on frames, shaded meshes, contact sheets and videos of them."""

from flowface_jax.viewing.colours import alarm_colours, value_colours
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.shading import shade
from flowface_jax.viewing.tiling import contact_sheet, limited, tile_views
from flowface_jax.viewing.video_writer import VideoWriter, write_video
from flowface_jax.viewing.visibility import front_facing, visible_triangles

__all__ = [
    "VideoWriter",
    "alarm_colours",
    "contact_sheet",
    "draw_overlay",
    "front_facing",
    "limited",
    "shade",
    "tile_views",
    "value_colours",
    "visible_triangles",
    "write_video",
]
