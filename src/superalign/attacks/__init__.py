"""The attacks: one variant, one file."""
