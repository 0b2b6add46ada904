"""Training of the alignment network: nothing here yet."""
