"""A run from its beginning to its end: the loop that command line and Python share, and the calls from Python."""
