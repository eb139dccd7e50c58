"""Rounds: a tutor answers, its replies are scored, it learns from the best and the worst, and answers again."""
