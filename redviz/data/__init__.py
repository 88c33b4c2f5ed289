"""What goes in and out of redviz as files: the gallery, the readers and the result files."""
