"""A run's page, figures and tables."""
