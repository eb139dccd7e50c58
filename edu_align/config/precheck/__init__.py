"""What is wrong with a command line and the files that it names, found together; Hydra stops at the first error."""
