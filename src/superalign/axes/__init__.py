"""What is balanced, one axis a file."""
