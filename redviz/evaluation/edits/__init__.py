"""What an edit of the response does to its score."""
