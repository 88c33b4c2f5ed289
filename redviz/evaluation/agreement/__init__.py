"""How far people agree, and how well methods predict them."""
