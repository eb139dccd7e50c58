"""Hydra finds its plugins in packages below `hydra_plugins`; what they do is in edu_align.sweeps."""
