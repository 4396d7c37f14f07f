"""Runs migrations on the connection that `kit.database.migrate` hands over."""

from alembic import context

from draftstore_identity.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=context.config.attributes["schema"],
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
