"""Whole data sets: run folders that outlive the process that fills them, and the loop that fills one on this machine."""
