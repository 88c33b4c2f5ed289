"""Run by Alembic: takes the steps on the connection and in the transaction that the store opened."""

from alembic import context

from redviz.annotation.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
context.run_migrations()
