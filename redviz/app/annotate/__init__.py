"""The Annotate screen: the task, and the maps that people choose between."""
