"""Data sets in the field's schemas."""
