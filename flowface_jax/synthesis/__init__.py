"""Made-up people with exact ground truth: rasteriser, faces, hair, light and camera.

`assets` measures a head once; `appearance` draws a person and their surroundings; `geometry` and `render` make one
picture; `crops` makes training pictures, `film` sequences; `truth` says what is known about them. `textures` goes the
other way: from a tracked video to a skin.
"""
