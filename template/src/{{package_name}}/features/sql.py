"""The views as SQL for other engines, compiled from the same expressions that build the offline store."""

from ..errors import UserError
from .views import VIEWS

# The dialects of ibis that every view compiles to, and what a session must be told first. Spark has that of Databricks:
# ibis compiles its own only with a session at hand.
DIALECTS = {
    "athena": ("athena", None),
    "bigquery": ("bigquery", None),
    "databricks": ("databricks", "SET TIME ZONE 'UTC'"),
    "duckdb": ("duckdb", "SET TimeZone = 'UTC'"),
    "snowflake": ("snowflake", "ALTER SESSION SET TIMEZONE = 'UTC'"),
    "spark": ("databricks", "SET TIME ZONE 'UTC'"),
    "trino": ("trino", "SET TIME ZONE 'UTC'"),
}


def view_sql(name: str, dialect: str) -> str:
    """Return the SELECT of a view over its source's table, below a comment that says what it needs.

    Raises UserError, which names the choices, for a view or a dialect that is not there.
    """
    if name not in VIEWS:
        raise UserError(f"there is no view {name!r}; choose from {', '.join(VIEWS)}")
    if dialect not in DIALECTS:
        raise UserError(f"there is no dialect {dialect!r}; choose from {', '.join(DIALECTS)}")
    compiled, zone = DIALECTS[dialect]
    view = VIEWS[name]
    first = f" Run before it: {zone}" if zone else ""
    return f"-- The view {name} over the table {view.source}, for {dialect}.{first}\n{view.sql(compiled)}"
