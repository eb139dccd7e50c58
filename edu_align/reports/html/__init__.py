"""What the pages of a sweep and of a comparison of runs have in common: pictures, style, files."""
