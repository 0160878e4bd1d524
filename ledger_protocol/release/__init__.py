"""What is signed."""
