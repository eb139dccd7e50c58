"""The page of rounds: what each did, so that a scorer that is gamed is seen."""
