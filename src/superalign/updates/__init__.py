"""How a learner refines itself from feedback, one way a file."""
