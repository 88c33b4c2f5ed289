"""Where redviz keeps its state and finds the files it ships; every environment variable is read here."""

import math
import os
import sysconfig
from pathlib import Path

from redviz.errors import RedvizError

PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """The folder for everything that redviz writes: ``REDVIZ_HOME``, or ``~/.redviz``."""
    return Path(os.environ.get("REDVIZ_HOME") or Path.home() / ".redviz").expanduser()


def project_file(relative: str) -> Path:
    """A file or folder that ships beside the package (``app.py``, ``sample_data``): in a checkout, else in the wheel's share."""
    for root in (PACKAGE.parent, Path(sysconfig.get_path("data")) / "share" / "redviz"):
        if (root / relative).exists():
            return root / relative
    raise RedvizError(f"{relative} was not found beside the redviz package; reinstall redviz or run from its checkout.")


def demo_mode() -> bool:
    """Whether this is a public server (``REDVIZ_DEMO=1``): nothing that a visitor does is written to disk."""
    return os.environ.get("REDVIZ_DEMO", "") not in ("", "0")


def idle_minutes() -> float | None:
    """After how long without a person a demonstration starts again (``REDVIZ_IDLE_MINUTES``, 5 by default); None is never.

    Fractions are allowed, and 0 is never.
    """
    return (_demo_number("REDVIZ_IDLE_MINUTES", 5.0) or None) if demo_mode() else None


def most_characters() -> int | None:
    """The most that prompt and response of a demonstration hold together (``REDVIZ_MOST_CHARACTERS``, 4,000 by default)."""
    return max(1, int(_demo_number("REDVIZ_MOST_CHARACTERS", 4000))) if demo_mode() else None


def _demo_number(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        number = float(text or default)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise RedvizError(f"{name} is {text!r}; give a number such as {default:g}.")
    return number


def allowed_models() -> tuple[str, ...] | None:
    """The models a shared server offers (``REDVIZ_MODELS``, separated by commas or line breaks); None allows any."""
    listed = os.environ.get("REDVIZ_MODELS", "").replace("\n", ",")
    return tuple(name.strip() for name in listed.split(",") if name.strip()) or None


def data_folders() -> tuple[Path, ...]:
    """The folders of this server whose data sets and results the app opens (``REDVIZ_DATA``, separated by commas or line breaks)."""
    listed = os.environ.get("REDVIZ_DATA", "").replace("\n", ",")
    return tuple(Path(name.strip()).expanduser().absolute() for name in listed.split(",") if name.strip())


def memory_limit_bytes() -> int | None:
    """The bound on the weights the engine keeps loaded (``REDVIZ_MODEL_MEMORY_GB``); None leaves it to the machine."""
    text = os.environ.get("REDVIZ_MODEL_MEMORY_GB", "").strip()
    if not text:
        return None
    try:
        return int(float(text) * 2**30)
    except ValueError:
        raise RedvizError(f"REDVIZ_MODEL_MEMORY_GB is {text!r}; give a number of gibibytes such as 12.") from None


def database_url() -> str:
    """Where annotations are kept: ``REDVIZ_DATABASE_URL``, or the SQLite file ``redviz.db`` in ``home()``.

    Raises
    ------
    RedvizError
        On a demonstration server without one: nothing that a visitor does may be written.
    """
    named = os.environ.get("REDVIZ_DATABASE_URL", "").strip()
    if named:
        return named
    if demo_mode():
        raise RedvizError("This is a demonstration that keeps nothing; for annotations set REDVIZ_DATABASE_URL.")
    return f"sqlite:///{home().absolute() / 'redviz.db'}"


def lead_code() -> str:
    """The code that opens the whole app on a server with annotators (``REDVIZ_LEAD_CODE``); "" guards nothing."""
    return os.environ.get("REDVIZ_LEAD_CODE", "").strip()


def leads() -> frozenset[str]:
    """The e-mail addresses that lead after a login (``REDVIZ_LEADS``, separated by commas or line breaks), in lower case."""
    listed = os.environ.get("REDVIZ_LEADS", "").replace("\n", ",")
    return frozenset(name.strip().lower() for name in listed.split(",") if name.strip())
