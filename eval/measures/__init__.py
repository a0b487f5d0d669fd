"""The measures of one cell and generation, one idea a file."""
