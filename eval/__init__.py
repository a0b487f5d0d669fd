"""Measures of samples, models and runs; the run's directory; the report."""
