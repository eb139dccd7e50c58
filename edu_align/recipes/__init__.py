"""What `make reproduce` runs beyond one training: the tutor recipe over seeds, and the results that are kept."""
