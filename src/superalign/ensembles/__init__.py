"""One ensemble, one file."""
