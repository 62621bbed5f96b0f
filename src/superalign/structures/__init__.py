"""The structures of errors, one file each."""
