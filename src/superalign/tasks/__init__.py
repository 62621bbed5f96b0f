"""The tasks: one variant, one file."""
