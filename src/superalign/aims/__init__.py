"""What may be wanted of a learner, one dimension a file."""
