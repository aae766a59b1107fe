"""What is learned of the link to a companion."""
