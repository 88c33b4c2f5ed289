"""Runs over a data set: folders of parts that outlive a kill, filled here or by Ray."""
