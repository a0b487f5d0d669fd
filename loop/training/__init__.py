"""Training and sampling of all cells as one program over all devices."""
