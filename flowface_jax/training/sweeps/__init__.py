"""Sweeps: many training runs side by side on Ray, SLURM or one machine, resumable, in one table."""
