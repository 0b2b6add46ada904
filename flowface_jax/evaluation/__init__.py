"""Measures of what was predicted against what is true."""
