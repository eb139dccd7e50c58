"""The built-in tutoring corpus: documented misconceptions, student dialogues about them and graded tutor replies.

The entry points are in `edu_align.tutoring.corpus`; `python -m edu_align.tutoring` prints what the corpus holds.
"""
