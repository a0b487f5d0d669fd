"""Boolean expressions: their distribution, their symbols, their truth."""
