"""Training of the alignment network: what a rendered picture teaches; the rest is to come."""
