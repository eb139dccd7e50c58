"""Sweeps: what is searched, the state of every job on disk, and the jobs themselves."""
