"""The models: one variant, one file."""
