//! The result of an operation that measures: named columns of equal length.
//!
//! As a file: the length of a header in JSON (8 bytes, little-endian), the header, then the bytes of
//! each column one after the other, little-endian.

use crate::array::{Array, swap_bytes};
use crate::dtype::DType;
use crate::error::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::Path;

/// A table of measurements. A single value is a table of one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Array)>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    columns: Vec<Column>,
}

#[derive(Serialize, Deserialize)]
struct Column {
    name: String,
    dtype: DType,
    rows: u64,
}

impl Table {
    /// Adds a column.
    ///
    /// ```
    /// use bioimage_engine::{array::Array, op::table::Table};
    /// let labels = Array::from_values::<u64>(&[2], &[1, 7]).unwrap();
    /// let table = Table::default().with("label", labels);
    /// assert_eq!((table.rows(), table.columns()[0].0.as_str()), (2, "label"));
    /// ```
    #[must_use]
    pub fn with(mut self, name: &str, values: Array) -> Table {
        self.columns.push((name.to_owned(), values));
        self
    }

    /// The columns, in order.
    pub fn columns(&self) -> &[(String, Array)] {
        &self.columns
    }

    /// The columns, to be taken apart.
    pub fn into_columns(self) -> Vec<(String, Array)> {
        self.columns
    }

    /// A column by its name.
    pub fn column(&self, name: &str) -> Option<&Array> {
        self.columns.iter().find(|(own, _)| own == name).map(|(_, values)| values)
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.columns.first().map_or(0, |(_, values)| values.voxels())
    }

    /// Writes the table.
    ///
    /// # Errors
    /// `write-failed` and the like.
    pub fn write(&self, to: &mut dyn Write) -> Result<()> {
        let column = |(name, values): &(String, Array)| Column {
            name: name.clone(),
            dtype: values.dtype(),
            rows: values.voxels(),
        };
        let header = Header { columns: self.columns.iter().map(column).collect() };
        let header = serde_json::to_vec(&header)
            .map_err(|error| Error::internal(format!("header of a table: {error}")))?;
        let mut write = |bytes: &[u8]| {
            to.write_all(bytes).map_err(|error| Error::write(Path::new("a table"), &error))
        };
        write(&(header.len() as u64).to_le_bytes())?;
        write(&header)?;
        for (_, values) in &self.columns {
            if cfg!(target_endian = "little") {
                write(values.bytes())?;
            } else {
                let mut bytes = values.bytes().to_vec();
                swap_bytes(&mut bytes, values.dtype().size());
                write(&bytes)?;
            }
        }
        Ok(())
    }

    /// Reads a table that was written.
    ///
    /// # Errors
    /// `run-damaged` if it is missing or not whole.
    pub fn read(path: &Path) -> Result<Table> {
        let damaged = |what: &dyn std::fmt::Display| {
            Error::new(Kind::RunDamaged, format!("the table '{}' {what}", path.display()))
                .fix("Measure again.")
        };
        let file = std::fs::File::open(path)
            .map_err(|error| damaged(&format!("cannot be read: {error}")))?;
        let mut file = std::io::BufReader::new(file);
        let mut take = |bytes: &mut [u8]| {
            file.read_exact(bytes).map_err(|error| damaged(&format!("is not whole: {error}")))
        };
        let mut len = [0; 8];
        take(&mut len)?;
        let len = usize::try_from(u64::from_le_bytes(len)).ok().filter(|len| *len <= MAX_HEADER);
        let mut header = vec![0; len.ok_or_else(|| damaged(&"is none"))?];
        take(&mut header)?;
        let header: Header = serde_json::from_slice(&header)
            .map_err(|error| damaged(&format!("is none: {error}")))?;
        let mut table = Table::default();
        for Column { name, dtype, rows } in header.columns {
            let mut values = Array::zeros(dtype, &[rows]);
            take(values.bytes_mut())?;
            if cfg!(target_endian = "big") {
                swap_bytes(values.bytes_mut(), dtype.size());
            }
            table.columns.push((name, values));
        }
        Ok(table)
    }
}

/// Headers are short; what claims more is no table.
const MAX_HEADER: usize = 1 << 20;

/// The values of an axis out of rows with one for each.
pub(super) fn of_axis<T: Copy>(rows: &[T], axis: usize, ndim: usize) -> Vec<T> {
    rows.iter().skip(axis).step_by(ndim).copied().collect()
}

/// How axes are called in columns.
pub(super) fn axis_names(ndim: usize) -> Vec<String> {
    match ndim {
        2 | 3 => ["z", "y", "x"][3 - ndim..].iter().map(|name| (*name).to_owned()).collect(),
        _ => (0..ndim).map(|axis| format!("axis{axis}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_was_written_and_not_cut_short() {
        let labels = Array::from_values::<u64>(&[3], &[1, u64::MAX, 5]).unwrap();
        let means = Array::from_values::<f64>(&[3], &[0.5, f64::MIN, 1e300]).unwrap();
        let table = Table::default().with("label", labels).with("mean", means);
        let file = tempfile::NamedTempFile::new().unwrap();
        table.write(&mut file.as_file()).unwrap();
        assert_eq!(Table::read(file.path()).unwrap(), table);
        let whole = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(Table::read(file.path()).unwrap_err().kind, Kind::RunDamaged);
        std::fs::write(file.path(), "no table at all").unwrap();
        assert_eq!(Table::read(file.path()).unwrap_err().kind, Kind::RunDamaged);
    }
}
