"""Readers of other programs' calibration files, one format per module, each giving a `Calibration`."""
