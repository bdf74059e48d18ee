"""Alembic's environment: one schema with a version table of its own, and a lock timeout.

`runstore_migrations.schema` calls it with a connection (online) or without one (to print SQL).
"""

from alembic import context
from runstore_storage.sql.tables import metadata

from runstore_migrations.schema import VERSION_TABLE

LOCK_TIMEOUT = "10s"


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is None:
        context.configure(
            dialect_name="postgresql",
            as_sql=True,
            target_metadata=metadata,
            version_table=VERSION_TABLE,
        )
        with context.begin_transaction():
            context.run_migrations()
        return
    context.configure(
        connection=connection,
        transaction_per_migration=True,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
    )
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    connection.exec_driver_sql("SET statement_timeout = 0")
    connection.commit()
    with context.begin_transaction():
        context.run_migrations()


run()
