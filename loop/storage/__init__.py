"""A run's directory: every path and format, written whole and checked when read."""
