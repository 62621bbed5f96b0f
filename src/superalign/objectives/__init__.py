"""The objectives: one variant, one file."""
