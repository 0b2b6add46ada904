"""Training of the alignment network: data in, the mapped step, runs that resume, sweeps of them."""
