"""From an older store to this one, step by step, with Alembic. A new store gets all of it at once (`Store.open`)."""
