"""The store as it was before there were migrations: the tables of version 2."""

revision = "0002"
down_revision = None


def upgrade() -> None:
    """Nothing: a store without a revision is of version 2, or is refused."""
