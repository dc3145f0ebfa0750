"""What each command of the command line does: chooses, runs, shows, and gives the exit status."""

FAILED = 1
"""A stream failed, or this program did."""
WRONG = 2
"""A call, a file, a setting or the environment is wrong: a person changes it."""
CHECK_ERROR = 3
"""Done, but a check says ERROR: too much was refused."""
