"""One training run: SFT or DPO through TRL, and what both share."""
