"""What the door for Frigate's detector `zmq` is made of: its messages, its pictures, its rows, and its models."""
