"""The critics: one variant, one file."""
