"""Block-wise image analysis for volumes that do not fit in memory."""

from bioimage_rs._native import __version__

__all__ = ["__version__"]
