"""Base, SFT and DPO side by side: stored results of the suite as tables, pictures and a page."""
