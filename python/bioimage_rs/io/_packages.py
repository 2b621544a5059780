"""Python packages that read formats, imported when a file asks for them."""

import importlib
from typing import Any


def require(module: str, purpose: str, package: str | None = None) -> Any:
    """Import a module.

    Raises
    ------
    ImportError
        Saying what it is needed for, and how to get it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = package or module.split(".")[0]
        raise ImportError(
            f"{package} is required to {purpose}, but is not installed: pip install {package}",
            name=error.name,
        ) from None
