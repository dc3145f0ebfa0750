"""Bugs that we plant, to see that the suite finds them: a suite that finds none proves nothing."""
