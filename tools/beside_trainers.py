"""Two environments of their own, in which the slow tests install redviz: alone, and beside the RL trainers that the examples are for.

    python tools/beside_trainers.py .venv/beside

FOLDER/core      Transformers 5.10, and nothing that redviz does not ask for
FOLDER/trainers  the same with verl as its package index gives it, and OpenRLHF, whose DeepSpeed and flash-attn are built on a machine
                 with CUDA and are left out with all else that it asks for

PyTorch is that of the environment this runs in: gigabytes are not fetched again.
"""

import argparse
import re
import shutil
import subprocess
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

TRANSFORMERS = "transformers==5.10.4"  # the newest that verl 0.9.1 takes
VERL = (
    "verl==0.9.1",
    "cachetools",
    "fastapi",
    "uvicorn",
)  # the last three are in its extra verl-core, which its trainer needs
OPENRLHF = "openrlhf==0.11.2"


def needed_by(name: str, found: dict[str, Distribution]) -> dict[str, Distribution]:
    """A package that is installed here and all that it needs, by name."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return found
    if package.name not in found:
        found[package.name] = package
        for requirement in package.requires or []:
            if "extra ==" not in requirement:
                needed_by(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0], found)
    return found


def lend(name: str, folder: Path) -> None:
    """Links to a package of this environment, and to all that it needs, in a folder that another one can look into."""
    folder.mkdir(parents=True)
    for package in needed_by(name, {}).values():
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            there = Path(str(package.locate_file(top))).resolve()
            if there.exists() and not (folder / top).exists():
                (folder / top).symlink_to(there)


def make(folder: Path, lent: Path, *packages: str, alone: tuple[str, ...] = ()) -> None:
    """An environment with these packages, those of ``alone`` without what they need."""
    venv.create(folder, with_pip=True, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(f"{lent.resolve()}\n")
    install = [folder / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    subprocess.run([*install, *packages], check=True)
    if alone:
        subprocess.run([*install, "--no-deps", *alone], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog=Path(__file__).name, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="made anew")
    folder: Path = parser.parse_args().folder
    shutil.rmtree(folder, ignore_errors=True)
    try:
        lend("torch", folder / "lent")
        make(folder / "core", folder / "lent", TRANSFORMERS)
        make(folder / "trainers", folder / "lent", TRANSFORMERS, *VERL, alone=(OPENRLHF,))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


if __name__ == "__main__":
    main()
