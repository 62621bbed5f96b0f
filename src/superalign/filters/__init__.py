"""The filters and relabellings: one variant, one file."""
