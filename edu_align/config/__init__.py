"""Typed configuration: the schema of every group, strict loading, and rules across groups."""
