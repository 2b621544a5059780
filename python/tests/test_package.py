"""The package as it is installed."""

import importlib.metadata
import importlib.resources

import bioimage_rs


def test_version_is_that_of_the_distribution() -> None:
    assert bioimage_rs.__version__ == importlib.metadata.version("bioimage-rs")


def test_package_is_typed() -> None:
    assert importlib.resources.files(bioimage_rs).joinpath("py.typed").is_file()
