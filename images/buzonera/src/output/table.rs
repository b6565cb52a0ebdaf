//! Aligned columns.

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Names and words.
    Left,
    /// Numbers.
    Right,
}

/// A table with one heading line. Every row has as many cells as there are columns.
pub struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// An empty table with these columns.
    pub fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds one row.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell)));
    }

    /// The whole table, or `empty` as a line when it has no rows.
    pub fn render(&self, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let heading = self.columns.map(|(name, _)| name.to_owned());
        let widths = self.widths(&heading);
        let mut text = self.line(&heading, &widths);
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
        }
        text
    }

    fn widths(&self, heading: &[String; N]) -> [usize; N] {
        let mut widths = [0; N];
        for row in self.rows.iter().chain([heading]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    fn line(&self, cells: &[String; N], widths: &[usize; N]) -> String {
        let padded = cells.iter().zip(widths).zip(&self.columns);
        let joined = padded
            .map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect::<Vec<_>>()
            .join("  ");
        format!("{}\n", joined.trim_end())
    }
}

/// One thing's facts, a line each: `name  value`. Empty values are left out.
pub fn facts(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<width$}  {}\n", printable(value)))
        .collect()
}

/// Text from elsewhere must not steer the terminal: control characters become U+FFFD.
pub fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table = Table::new([("SHARD", Align::Left), ("BYTES", Align::Right)]);
        table.row(["shard-1".into(), "7".into()]);
        table.row(["s2".into(), "1234567".into()]);
        let expected = "SHARD      BYTES\nshard-1        7\ns2       1234567\n";
        assert_eq!(table.render("No shards."), expected);
    }

    #[test]
    fn nothing_is_said_in_words() {
        let table = Table::new([("SHARD", Align::Left)]);
        assert_eq!(table.render("No shards."), "No shards.\n");
    }

    #[test]
    fn facts_leave_out_what_is_empty() {
        let text = facts(&[("home", "shard-1".into()), ("why", String::new())]);
        assert_eq!(text, "home  shard-1\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(facts(&[("a", "\u{1b}[2Jx".into())]), "a  \u{fffd}[2Jx\n");
    }
}
