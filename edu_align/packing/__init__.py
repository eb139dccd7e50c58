"""Shared-prefix packing: rows that begin alike are computed once."""
