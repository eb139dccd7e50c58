"""What any part of the package may use, and what knows nothing of the others."""
