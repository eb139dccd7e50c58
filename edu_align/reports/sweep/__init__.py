"""A sweep's results as tables, pictures and a page, from the files that it and its runs leave."""
