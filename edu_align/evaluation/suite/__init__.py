"""The suite of educational helpfulness: eight metrics of any model, each stored with its items."""
