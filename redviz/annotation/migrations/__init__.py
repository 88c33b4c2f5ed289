"""How the tables of the annotation store came to be, step by step (Alembic)."""
