//! Tables of text: columns as wide as they must be, cells never broken into lines. Where a terminal
//! is too narrow one column gives way and then the last of the others go, so that ids and numbers stay whole.
//! (`comfy-table` wraps cells, which is what a list of ids must not do.)

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::{HEADING, paint, printable};

/// Spaces between columns.
const GAP: usize = 2;
/// What the column that gives way keeps: enough to know what it was about.
const YIELDING_MIN: usize = 20;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Its heading.
    pub(super) title: &'static str,
    /// Whether its cells stand to the right: numbers do.
    pub(super) is_number: bool,
    /// Whether it is cut where the terminal is too narrow. One column at most.
    pub(super) yields: bool,
}

impl Column {
    /// A column of words.
    pub(super) const fn words(title: &'static str) -> Self {
        Self { title, is_number: false, yields: false }
    }

    /// A column of numbers.
    pub(super) const fn numbers(title: &'static str) -> Self {
        Self { title, is_number: true, yields: false }
    }

    /// A column of words that is cut first.
    pub(super) const fn yielding(title: &'static str) -> Self {
        Self { title, is_number: false, yields: true }
    }
}

/// A cell: its text and how it looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style.
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: printable(&text.into()), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; a cell that is missing is empty.
    pub(super) fn push(&mut self, mut row: Vec<Cell>) {
        row.resize(self.columns.len(), Cell::default());
        self.rows.push(row);
    }

    /// The heading and the rows, a line each without its break, at most `width` columns wide.
    pub(super) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width);
        let titles: Vec<Cell> =
            self.columns.iter().map(|column| Cell::styled(column.title, HEADING)).collect();
        let rows = std::iter::once(&titles).chain(&self.rows);
        rows.map(|row| self.line(row, &widths)).collect()
    }

    /// The whole as text.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        self.lines(width).iter().map(|line| format!("{line}\n")).collect()
    }

    /// The width of each column; `None` for one that there is no room for.
    fn widths(&self, width: Option<usize>) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> =
            self.columns.iter().map(|column| Some(column.title.width())).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(Some(cell.text.width()));
            }
        }
        let Some(limit) = width else { return widths };
        let yielding = self.columns.iter().position(|column| column.yields);
        let wanted = yielding.and_then(|index| widths[index]);
        if let (Some(index), Some(wanted)) = (yielding, wanted) {
            widths[index] = Some(wanted.min(YIELDING_MIN));
        }
        while total(&widths) > limit {
            // The first column stays: it says what the row is about.
            let is_shown = |index: &usize| widths[*index].is_some();
            let others = (1..widths.len()).rev().filter(|index| yielding != Some(*index));
            match others.clone().find(is_shown).or(yielding.filter(is_shown)) {
                Some(index) => widths[index] = None,
                None => break,
            }
        }
        // What is left over is the yielding column's.
        let left = limit.saturating_sub(total(&widths));
        if let (Some(Some(width)), Some(wanted)) =
            (yielding.map(|index| &mut widths[index]), wanted)
        {
            *width = wanted.min(*width + left);
        }
        widths
    }

    fn line(&self, row: &[Cell], widths: &[Option<usize>]) -> String {
        let last = widths.iter().rposition(Option::is_some);
        let mut line = String::new();
        for (index, (width, cell)) in widths.iter().zip(row).enumerate() {
            let Some(width) = *width else { continue };
            let text = fit(&cell.text, width);
            let blank = " ".repeat(width - text.width());
            if index > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            match self.columns[index].is_number {
                true => line.push_str(&(blank + &paint(cell.style, &text))),
                false if Some(index) == last => line.push_str(&paint(cell.style, &text)),
                false => line.push_str(&(paint(cell.style, &text) + &blank)),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn total(widths: &[Option<usize>]) -> usize {
    let shown: Vec<usize> = widths.iter().copied().flatten().collect();
    shown.iter().sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

/// The text if it fits, else its beginning and a sign that there is more.
pub(super) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for sign in text.chars() {
        used += sign.width().unwrap_or(0);
        if used >= width {
            break;
        }
        cut.push(sign);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// Columns of the terminal that standard output is; `None` where it is none, and nothing is cut.
pub(super) fn terminal_width() -> Option<usize> {
    let output = std::io::stdout();
    std::io::IsTerminal::is_terminal(&output).then_some(())?;
    let size = rustix::termios::tcgetwinsize(&output).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::words("host"),
        Column::yielding("reason"),
        Column::numbers("queued"),
        Column::words("note"),
    ];

    fn table() -> Table {
        let mut table = Table::new(COLUMNS);
        table.push(vec!["a.example".into(), "answered 503 again and again".into(), "7".into()]);
        table.push(vec!["b.example".into(), "".into(), "1,204".into(), "hm".into()]);
        table
    }

    fn plain(width: Option<usize>) -> Vec<String> {
        let lines = table().lines(width);
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        assert_eq!(
            plain(None),
            [
                "host       reason                        queued  note",
                "a.example  answered 503 again and again       7",
                "b.example                                 1,204  hm",
            ]
        );
    }

    #[test]
    fn one_column_gives_way_and_then_the_last_of_the_others_go() {
        let narrow = plain(Some(40));
        assert_eq!(narrow[1], "a.example  answered 503 again a…       7");
        assert!(narrow.iter().all(|line| line.width() <= 40), "{narrow:?}");
        assert_eq!(plain(Some(32))[1], "a.example  answered 503 again a…");
        assert_eq!(plain(Some(24))[1], "a.example");
        assert_eq!(plain(Some(10))[2], "b.example");
    }

    #[test]
    fn a_text_is_cut_by_the_columns_that_it_takes() {
        assert_eq!(fit("shop.example", 8), "shop.ex…");
        assert_eq!(fit("店舗店舗", 5), "店舗…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abc", 0), "");
    }
}
