"""What Alembic runs: the steps on the connection that `upgrade` gives, in its transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    transactional_ddl=False,  # the caller's transaction holds all the steps
)
context.run_migrations()
