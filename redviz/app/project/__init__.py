"""The Project screen: what is judged, by whom, and how far they are."""
