"""Side-by-side measurements against the tools that edu_align stands on; `make bench` runs them all."""
