"""Misconceptions by area; `edu_align.tutoring.library` gathers them."""
