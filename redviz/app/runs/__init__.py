"""The list of runs, and the jobs that fill them."""
