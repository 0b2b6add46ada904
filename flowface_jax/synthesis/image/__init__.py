"""Everything that happens in image space: what is behind the head, what is before it, and the camera."""
