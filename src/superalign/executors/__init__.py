"""The executors: one variant, one file."""
