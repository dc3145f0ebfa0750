"""What a record may cost: no step of the interpreter, no object of Python's, no memory for long."""
