"""Typed config -> TRL trainer."""
