"""The `flowface` command: one small file per command, no logic of its own."""
