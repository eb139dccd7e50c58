"""A finished run as a folder that other programs load: merged weights, a GGUF, a model card."""
