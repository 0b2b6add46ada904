"""The viewer in the browser: tracks over their videos, on this computer or over SSH."""

from flowface_jax.viewing.browser.shown import Show, open_show
from flowface_jax.viewing.browser.viewing import view

__all__ = ["Show", "open_show", "view"]
