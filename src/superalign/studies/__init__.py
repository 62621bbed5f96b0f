"""The studies: one variant, one file."""
