"""Measuring how good a tutor a model is: metrics with intervals, baselines on the same items, and the report."""
