"""How Alembic runs here: inside the transaction that ``dnsserver.store.migrate`` began."""

from alembic import context

from dnsserver.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite alters tables by copying them.
    render_as_batch=True,
)

with context.begin_transaction():
    context.run_migrations()
