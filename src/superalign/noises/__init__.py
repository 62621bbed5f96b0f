"""The kinds of label noise: one variant, one file."""
