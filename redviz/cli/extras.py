"""Which part of the installation a package belongs to that a command did not find."""

from __future__ import annotations

# package: the extra of the distribution that brings it; what stands in none is always installed
EXTRAS = {
    "alembic": "app",
    "duckdb": "app",
    "plotly": "app",
    "psycopg": "app",
    "ray": "ray",
    "scipy": "evaluation",
    "sqlalchemy": "app",
    "streamlit": "app",
}


def remedy(missing: ModuleNotFoundError) -> str | None:
    """The sentence for a package that an extra brings; None for one that no extra does.

    >>> remedy(ModuleNotFoundError("No module named 'streamlit.web'", name="streamlit.web"))
    "This needs streamlit, which is not installed: pip install 'redviz[app]'."
    """
    package = (missing.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return f"This needs {package}, which is not installed: pip install 'redviz[{EXTRAS[package]}]'."
