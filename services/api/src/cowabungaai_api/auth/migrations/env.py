# SPDX-License-Identifier: Apache-2.0
"""What alembic runs. The connection comes from the program: there is no alembic.ini, and no URL of its own."""

from alembic import context

from cowabungaai_api.auth.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=context.config.attributes["version_table"],
    # SQLite cannot change a column in place.
    render_as_batch=True,
)
# The transaction is the caller's, who took a lock in it.
context.run_migrations()
