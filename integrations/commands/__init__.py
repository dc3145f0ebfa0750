"""What each command of the command line does: chooses, runs, shows, and gives the exit status."""
