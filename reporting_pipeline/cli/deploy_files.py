"""The files of deploy/ wherever the product is installed: in a wheel beside the code, else in the checkout.

`setup.py` copies them into the wheel.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parent
#: Files that lie elsewhere in a checkout.
ELSEWHERE = {"local/dagster.yaml": "dagster.yaml", "workspace.yaml": "workspace.yaml"}


def deploy_file(name: str) -> Path:
    """The path of one file, named from deploy/ on ("dagster.yaml", "celery/dagster.yaml").

    Raises ValueError that lists the names when there is none such.
    """
    found = _files().get(name)
    if found is None:
        raise ValueError(f"there is no file {name!r}; there are {', '.join(names())}")
    return found


def names() -> list[str]:
    return sorted(_files())


def _files() -> dict[str, Path]:
    installed = PACKAGE / "deploy"
    if installed.is_dir():
        return _below(installed)
    elsewhere = {name: CHECKOUT / path for name, path in ELSEWHERE.items()}
    return {
        **_below(CHECKOUT / "deploy"),
        **{name: path for name, path in elsewhere.items() if path.is_file()},
    }


def _below(folder: Path) -> dict[str, Path]:
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
