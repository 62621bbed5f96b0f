"""The sinks: one tool, one file."""
