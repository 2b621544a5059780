//! Tables for the terminal and for notebooks.

/// Rows under a header.
pub struct Table<'a> {
    /// Names of the columns.
    pub header: &'a [&'a str],
    /// The cells of every row.
    pub rows: Vec<Vec<String>>,
}

impl Table<'_> {
    /// Columns aligned with spaces.
    pub fn text(&self) -> String {
        let header: Vec<String> = self.header.iter().map(|name| (*name).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&header).chain(&self.rows).collect();
        let width = |column: usize| {
            all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let line = |row: &&Vec<String>| {
            let cells = row.iter().enumerate();
            let padded: Vec<String> = cells
                .map(|(column, cell)| format!("{cell:<width$}", width = width(column).unwrap_or(0)))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        all.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// As HTML.
    pub fn html(&self) -> String {
        let row = |cells: &mut dyn Iterator<Item = &str>, tag: &str| {
            let cells: String =
                cells.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
            format!("<tr>{cells}</tr>")
        };
        let rows: String = self
            .rows
            .iter()
            .map(|cells| row(&mut cells.iter().map(String::as_str), "td"))
            .collect();
        let header = row(&mut self.header.iter().copied(), "th");
        format!("<table><thead>{header}</thead><tbody>{rows}</tbody></table>")
    }
}

/// Text as it may stand in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A time span as people write it.
pub fn duration_text(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86400, whole % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_html_is_escaped() {
        let table = Table { header: &["run", "n"], rows: vec![vec!["a<b".into(), "10".into()]] };
        assert_eq!(table.text(), "run  n\na<b  10");
        assert!(table.html().contains("<td>a&lt;b</td>"));
    }

    #[test]
    fn time_spans_are_read_at_a_glance() {
        let texts = [0.25, 59.0, 61.0, 7260.0, 90000.0].map(duration_text);
        assert_eq!(texts, ["0.2 s", "59 s", "1 min 01 s", "2 h 01 min", "1 d 01 h"]);
    }
}
