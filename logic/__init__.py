"""The language: its exact distribution, its symbols, its verifier, its data sets."""
