"""The Data set screen: open, count, score, and look at rows."""
