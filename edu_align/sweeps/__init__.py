"""Several runs of one experiment: what is tried, where, and what came out."""
