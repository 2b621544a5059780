//! Units of length and time, as OME-Zarr spells them.

/// The name that OME-Zarr gives a unit; none for pixels and the like.
pub(super) fn ome_zarr(unit: &str) -> Option<String> {
    let unit = unit.trim();
    let name = match unit {
        "" | "pixel" | "pixels" | "px" | "reference frame" | "none" | "null" => return None,
        // The micro sign is two characters of Unicode, and an escape in what ImageJ writes.
        "µm" | "μm" | "um" | "\\u00B5m" | "\\u00b5m" | "micron" | "microns" | "micrometre" => {
            "micrometer"
        }
        "nm" | "nanometre" => "nanometer",
        "pm" => "picometer",
        "mm" | "millimetre" => "millimeter",
        "cm" | "centimetre" => "centimeter",
        "m" | "metre" => "meter",
        "km" => "kilometer",
        "Å" | "\u{212B}" | "A" => "angstrom",
        "in" | "inches" | "\"" => "inch",
        "ft" | "feet" => "foot",
        "s" | "sec" | "seconds" => "second",
        "ms" | "msec" => "millisecond",
        "µs" | "μs" | "us" | "\\u00B5s" | "usec" => "microsecond",
        "ns" => "nanosecond",
        "min" | "minutes" => "minute",
        "h" | "hr" | "hours" => "hour",
        "d" | "days" => "day",
        other => return Some(other.to_lowercase()),
    };
    Some(name.to_owned())
}
