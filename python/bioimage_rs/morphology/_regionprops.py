"""Volume, extent, axes, centre and surface of objects."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bioimage_rs._defaults import takes_defaults
from bioimage_rs._measurement import How, Named, Table, measure
from bioimage_rs.errors import RunnerError
from bioimage_rs.morphology._table import axis_names
from bioimage_rs.runner import RunnerConfig
from bioimage_rs.sources import SourceLike, as_source
from bioimage_rs.util import check_rerun_args

if TYPE_CHECKING:
    import pandas as pd


@takes_defaults
def regionprops(
    input: SourceLike,  # noqa: A002 - the reference's name
    table: "str | pd.DataFrame",
    *,
    resolution: Sequence[float] | None = None,
    compute_surface: bool = False,
    output_path: str | None = None,
    num_workers: int = 1,
    job_type: str = "local",
    job_config: RunnerConfig | None = None,
    item_ids: Sequence[int] | None = None,
    resume_from: str | None = None,
    pre_cleanup: Callable[[str], None] | None = None,
    verbose: bool = True,
) -> "pd.DataFrame":
    """Measure volume, extent, axes, centre and surface of objects of a label image.

    The image is read block by block, however many objects there are and however they overlap, in
    two passes: one adds up, the other looks into those objects whose centre of mass lies beside
    them. The result is the same on every backend. Halo: one voxel with surfaces. Memory: a worker
    holds its block, 4 bytes a voxel with surfaces and some 200 bytes for each of its objects, and
    in the second pass 17 bytes for each voxel of one bounding box, or of parts of a large one.

    Parameters
    ----------
    input
        The labels, of any integer data type and number of axes.
    table
        The objects: what `morphology` returns, or a file of that, `.csv` or `.xlsx`. Only voxels in
        the bounding box of an object count.
    resolution
        Extents of a voxel, for each axis; 1 by default. Areas and lengths are told by them.
    compute_surface
        Whether to measure the area of surfaces, too, in three dimensions: that of the mesh which
        scikit-image's `marching_cubes` makes of an object.
    output_path
        A file to write the result to, `.csv` or `.xlsx`.
    num_workers
        How many work at the same time.
    job_type
        `local` (threads), `subprocess` (worker processes) or `slurm` (job arrays on a cluster).
    job_config
        Settings of the backend.
    item_ids
        The rows of the table that are measured; all by default.
    resume_from
        The folder of a run whose rest is to be done (not for `local`).
    pre_cleanup
        Called with the folder of a finished run (not for `local`).
    verbose
        Whether a local run is shown while it goes.

    Returns
    -------
    A row for each object in ascending order of the labels: `label`; `n_voxels`; the volume `area`;
    `extent`, the share of the bounding box that it fills; `equivalent_diameter_area`, the diameter
    of a ball of the same volume; `axis_major_length` and `axis_minor_length` of an ellipsoid with
    the same moments; the centre of mass `centroid_z` and so on, or where that lies beside the
    object, its deepest voxel; the bounding box in voxels; and if asked for, `surface_area`.

    Raises
    ------
    ValueError
        For an image that is not of integers, and a table that does not fit it.
    RunnerError
        If blocks failed. No object is done then: its `failed_block_ids` are the rows.

    Examples
    --------
    >>> import numpy as np
    >>> import bioimage_rs as bp
    >>> labels = np.array([[5, 5, 0], [5, 0, 9]])
    >>> objects = bp.morphology.morphology(labels)
    >>> found = bp.morphology.regionprops(labels, objects, resolution=(2, 1))
    >>> found[["label", "n_voxels", "area", "extent", "bb_max_x"]]
       label  n_voxels  area  extent  bb_max_x
    0      5         3   6.0    0.75         2
    1      9         1   2.0    1.00         3
    """
    import pandas as pd

    check_rerun_args(job_type, resume_from, item_ids, subset_name="item_ids")
    source = as_source(input)
    if source.dtype.kind not in "iu":
        raise ValueError(f"regionprops expects an integer label image, got dtype {source.dtype}.")
    axes = axis_names(source.ndim)
    voxel = tuple(1.0 for _ in axes) if resolution is None else tuple(map(float, resolution))
    if len(voxel) != source.ndim:
        raise ValueError(f"resolution {voxel} does not match the input ndim {source.ndim}.")
    objects = table if isinstance(table, pd.DataFrame) else _read(str(table))
    prefixes = ("com", "bb_min", "bb_max")
    required = ["label", *(f"{prefix}_{axis}" for prefix in prefixes for axis in axes)]
    missing = [column for column in required if column not in objects.columns]
    if missing:
        raise ValueError(
            f"table is missing required columns {missing}; pass the output of "
            "bioimage_rs.morphology.morphology (label / com_* / bb_min_* / bb_max_*)."
        )
    with_surface = bool(compute_surface) and source.ndim == 3
    if objects.empty:
        return pd.DataFrame({name: np.zeros(0) for name in _columns(axes, with_surface)})
    if job_type != "local":
        try:
            source.to_spec()
        except ValueError as error:
            raise ValueError(
                f"Distributed regionprops requires a file-backed (zarr/n5) segmentation. {error}"
            ) from error
    rows = _rows(len(objects), item_ids)
    chosen = objects.iloc[rows]
    parameters = {"resolution": list(voxel), "compute_surface": with_surface}
    how = How(
        num_workers, None, job_type, job_config, resume_from=resume_from, pre_cleanup=pre_cleanup
    )
    found: list[pd.DataFrame] = []
    # A label that is listed again is measured again.
    for _, once in chosen.groupby(chosen.groupby("label").cumcount()):
        try:
            measured = measure(
                "regionprops",
                {**parameters, "objects": _listed(once, axes)},
                {"input": source},
                how,
                function="bp.morphology.regionprops",
                arguments={"table": Named("table"), **parameters},
                in_any_blocks=True,
                shown=verbose or job_type != "local",
            )
        except RunnerError as error:
            error.failed_block_ids = sorted(rows)
            raise
        found.append(_frame(measured, axes, with_surface))
    result = pd.concat(found).sort_values("label", kind="stable").reset_index(drop=True)
    if output_path is not None:
        _write(result, str(output_path))
    return result


def _rows(count: int, item_ids: Sequence[int] | None) -> list[int]:
    if item_ids is None:
        return list(range(count))
    bad = [int(item) for item in item_ids if not -count <= item < count]
    if bad:
        message = f"{len(bad)} item(s) failed in 'regionprops': {bad[:10]}. "
        message += f"First error: IndexError('the table has {count} rows')"
        raise RunnerError(message, bad)
    return [int(item) for item in item_ids]


def _listed(objects: "pd.DataFrame", axes: Sequence[str]) -> dict[str, Any]:
    """The objects as the engine takes them."""
    labels = objects["label"].to_numpy()
    if labels.dtype.kind != "u":
        labels = labels.astype("int64")
    corners = {}
    for prefix in ("bb_min", "bb_max"):
        found = objects[[f"{prefix}_{axis}" for axis in axes]].to_numpy("int64")
        if (found < 0).any():
            raise ValueError(f"{prefix} must not be negative.")
        corners[prefix] = found.ravel().tolist()
    centres = objects[[f"com_{axis}" for axis in axes]].to_numpy("float64")
    if not np.isfinite(centres).all():
        raise ValueError("The centres of mass must be finite.")
    return {
        "labels": labels.astype("uint64").tolist(),
        "is_signed": labels.dtype.kind != "u",
        "centres": centres.ravel().tolist(),
        "begins": corners["bb_min"],
        "ends": corners["bb_max"],
    }


def _columns(axes: Sequence[str], with_surface: bool) -> list[str]:
    columns = ["label", "n_voxels", "area", "extent", "equivalent_diameter_area"]
    columns += ["axis_major_length", "axis_minor_length"]
    columns += [f"{of}_{axis}" for of in ("centroid", "bb_min", "bb_max") for axis in axes]
    return [*columns, "surface_area"] if with_surface else columns


def _frame(measured: Table, axes: Sequence[str], with_surface: bool) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {name: measured.get(name, np.zeros(0)) for name in _columns(axes, with_surface)}
    )


def _read(path: str) -> "pd.DataFrame":
    import pandas as pd

    if path.lower().endswith((".xlsx", ".xls")):
        return pd.read_excel(path)
    if path.lower().endswith(".csv"):
        return pd.read_csv(path)
    raise ValueError(f"Unsupported table format: {path!r} (use .csv or .xlsx/.xls).")


def _write(table: "pd.DataFrame", path: str) -> None:
    if not path.lower().endswith((".csv", ".xlsx", ".xls")):
        raise ValueError(f"Unsupported output format: {path!r} (use .csv or .xlsx/.xls).")
    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    if path.lower().endswith(".csv"):
        table.to_csv(path, index=False)
    else:
        table.to_excel(path, index=False)
