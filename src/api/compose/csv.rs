//! Reports as CSV: RFC 4180, with a header row. A cell of text that a spreadsheet would take for a
//! formula begins with an apostrophe, since names come from whoever composes.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::compose::{Report, ReportFigures};

/// A table of one row for each point; the first columns say what the report is about.
pub(super) fn of_report(kind: &str, name: &str, report: &Report) -> String {
    let all = || report.points.iter().map(|point| &point.figures);
    let words: BTreeSet<&str> = all().flat_map(|row| row.more().map(|(word, _)| word)).collect();
    let statuses: BTreeSet<&str> =
        all().flat_map(|row| row.by_status.keys().map(String::as_str)).collect();
    let mut table = Table::default();
    for column in [
        "kind",
        "name",
        "step",
        "at",
        "sent",
        "delivered",
        "failed",
        "exhausted",
        "expired",
        "cancelled",
        "retried",
        "deferred",
        "unique_recipients",
        "p50_ms",
        "p90_ms",
        "p99_ms",
    ] {
        table.text(column);
    }
    statuses.iter().for_each(|status| table.text(&format!("status_{status}")));
    words.iter().for_each(|word| table.text(word));
    table.end_row();
    for point in &report.points {
        for text in [kind, name, report.step.as_str()] {
            table.text(text);
        }
        table.cell(point.at);
        figures(&mut table, &point.figures);
        for status in &statuses {
            table.cell(point.figures.by_status.get(*status).unwrap_or(&0));
        }
        for word in &words {
            let found = point.figures.more().find(|(more, _)| more == word);
            table.cell(found.map_or(0, |(_, number)| number));
        }
        table.end_row();
    }
    table.0
}

fn figures(table: &mut Table, row: &ReportFigures) {
    for number in [
        row.sent,
        row.delivered,
        row.failed,
        row.exhausted,
        row.expired,
        row.cancelled,
        row.retried,
        row.deferred,
    ] {
        table.cell(number);
    }
    table.maybe(row.unique_recipients);
    for percentile in [row.latency.p50_ms, row.latency.p90_ms, row.latency.p99_ms] {
        table.maybe(percentile);
    }
}

#[derive(Default)]
struct Table(String);

impl Table {
    /// What needs no quotes.
    fn cell(&mut self, value: impl Display) {
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            self.0.push(',');
        }
        self.0.push_str(&value.to_string());
    }

    fn maybe<T: Display>(&mut self, value: Option<T>) {
        self.cell(value.map(|value| value.to_string()).unwrap_or_default());
    }

    fn text(&mut self, text: &str) {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let text = if formula { format!("'{text}") } else { text.to_owned() };
        match text.contains([',', '"', '\r', '\n']) {
            true => self.cell(format!("\"{}\"", text.replace('"', "\"\""))),
            false => self.cell(text),
        }
    }

    fn end_row(&mut self) {
        self.0.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_is_never_a_formula() {
        let mut table = Table::default();
        for text in ["plain", "a,b", "say \"hi\"", "two\r\nlines", "=1+1", "-cmd", "@x,y", ""] {
            table.text(text);
        }
        table.end_row();
        table.cell(1);
        let wanted =
            "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\r\nlines\",'=1+1,'-cmd,\"'@x,y\",\r\n1";
        assert_eq!(table.0, wanted);
    }
}
