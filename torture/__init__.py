"""`make torture`: runs that are killed at random moments and have to end as if nothing had happened."""
