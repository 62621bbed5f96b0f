"""The fits: one variant, one file."""
