"""Reports of runs and of sweeps, and model cards. They read files and stand below everything that trains."""

REPORTS = "reports"  # folder under outputs_root of all reports of runs, one folder each
SPLITS = ("test", "validation")  # the first one is shown where runs were measured on both
