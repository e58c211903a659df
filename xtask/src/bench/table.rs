//! A table of text: the first column to the left, the others to the right.

/// A table in the making.
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn print(&self) {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        for row in all() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let fill = width(column).unwrap_or(0).saturating_sub(cell.chars().count());
                let fill = " ".repeat(fill);
                match column {
                    0 => line.push_str(&format!("{cell}{fill}")),
                    _ => line.push_str(&format!("  {fill}{cell}")),
                }
            }
            println!("{}", line.trim_end());
        }
    }
}
