"""What is learned of the device, its power and the link; every estimate knows its spread and its age."""
