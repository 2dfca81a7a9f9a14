"""Speed and memory of the measures against other libraries, and the cases that others get wrong."""
