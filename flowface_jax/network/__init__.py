"""The alignment network (stage 1): nothing here yet."""
