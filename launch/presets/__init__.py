"""Configurations that state their command, how long they take on what, and what comes out."""
