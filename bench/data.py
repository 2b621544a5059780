"""What is worked on: images, and what one would make of them, as files in a folder."""

from pathlib import Path

import bioimage_cpp as bic
import numpy as np
import tifffile
import zarr
from copies import CHUNKS
from scipy import ndimage

SHAPE = (256, 1024, 1024)
# What varies slowly is made on a coarser grid.
COARSE = 4


def make(folder: Path, shape: tuple[int, ...]) -> None:
    """Write all of it.

    `stack` (also as a TIFF): blobs under noise, which zstd makes about a quarter smaller. `spots`:
    fine structures, of which a million are above 165. `heights`, `seeds`, `basins`: a
    landscape, its ten thousand deepest places, and what lies around each. `labels`: what is above
    the noise of `stack`, by cells.
    """
    stack = make_stack(shape)
    tifffile.imwrite(
        folder / "stack.tif", stack, compression="zlib", photometric="minisblack", rowsperstrip=64
    )
    write(folder / "stack", stack)
    write(folder / "labels", make_labels(stack))
    write(folder / "spots", make_spots(shape))
    for name, values in make_landscape(shape).items():
        write(folder / name, values)


def write(path: Path, values: np.ndarray) -> None:
    """These values as Zarr and as numpy keep them."""
    np.save(path.with_suffix(".npy"), values)
    array = zarr.create_array(
        path.with_suffix(".zarr"),
        shape=values.shape,
        dtype=values.dtype,
        chunks=CHUNKS,
        compressors=zarr.codecs.ZstdCodec(level=3),
    )
    array[...] = values


def make_stack(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    blobs = 40 * np.sin(z / 17.0) * np.sin(y / 23.0) * np.sin(x / 29.0)
    stack = np.empty(shape, "uint8")
    for plane in range(shape[0]):
        noise = rng.normal(110, 13, shape[1:])
        stack[plane] = np.clip(blobs[plane] + noise, 0, 255)
    return stack


def make_labels(stack: np.ndarray) -> np.ndarray:
    z, y, x = np.ogrid[: stack.shape[0], : stack.shape[1], : stack.shape[2]]
    cells = (1 + (z // 40 * 1000 + y // 50) * 1000 + x // 60).astype("uint32")
    return np.where(stack > 80, cells, np.uint32(0))


def make_spots(shape: tuple[int, ...]) -> np.ndarray:
    spots = smooth_noise(shape, 1.0, 2)
    spots *= 32
    spots += 128
    return np.clip(spots, 0, 255, out=spots).astype("uint8")


def make_landscape(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    coarse = tuple(-(-extent // COARSE) for extent in shape)
    whole = tuple(slice(extent) for extent in shape)

    def fine(values: np.ndarray) -> np.ndarray:
        for axis in range(len(shape)):
            values = np.repeat(values, COARSE, axis)
        return values[whole]

    heights = smooth_noise(coarse, 1.5, 3)
    marks = np.zeros(coarse, "uint32")
    lowest = heights == ndimage.minimum_filter(heights, 5)
    marks[lowest] = np.arange(1, 1 + np.count_nonzero(lowest))
    seeds = np.zeros(shape, "uint32")
    every = tuple(slice(0, None, COARSE) for _ in shape)
    seeds[every] = marks
    smooth = bic.filters.gaussian_smoothing(fine(heights), COARSE / 2)
    smooth -= smooth.min()
    smooth *= 60000 / smooth.max()
    basins = fine(bic.segmentation.watershed(heights, marks))
    return {"heights": smooth.astype("uint16"), "seeds": seeds, "basins": basins}


def smooth_noise(shape: tuple[int, ...], sigma: float, seed: int) -> np.ndarray:
    """Noise of mean 0 and standard deviation 1 without finer structures than this."""
    noise = np.random.default_rng(seed).standard_normal(shape, "float32")
    smooth: np.ndarray = bic.filters.gaussian_smoothing(noise, sigma)
    smooth /= smooth.std()
    return smooth
