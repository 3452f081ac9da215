//! Histograms as the text has them: read elsewhere, written here.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::report::histogram::HistogramSnapshot;

/// What the values of a histogram are shown in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Microseconds, shown as seconds.
    Seconds,
    /// As they are.
    Whole,
}

impl Unit {
    fn show(self, value: u64) -> f64 {
        match self {
            Unit::Seconds => value as f64 / 1e6,
            Unit::Whole => value as f64,
        }
    }
}

/// A histogram, or one for each value of a label.
#[derive(Debug)]
pub(super) struct Histograms {
    name: &'static str,
    help: &'static str,
    unit: Unit,
    /// Name and value of the label.
    rows: Vec<(Option<(&'static str, &'static str)>, HistogramSnapshot)>,
}

impl Histograms {
    /// One without labels.
    pub(super) fn of(name: &'static str, help: &'static str, read: HistogramSnapshot) -> Self {
        Self { name, help, unit: Unit::Seconds, rows: vec![(None, read)] }
    }

    /// One for each value of `label`.
    pub(super) fn by(
        (name, help): (&'static str, &'static str),
        label: &'static str,
        rows: impl IntoIterator<Item = (&'static str, HistogramSnapshot)>,
    ) -> Self {
        let rows = rows.into_iter().map(|(value, read)| (Some((label, value)), read));
        Self { name, help, unit: Unit::Seconds, rows: rows.collect() }
    }

    pub(super) fn in_unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    fn write(
        &self,
        read: &HistogramSnapshot,
        encoder: &mut MetricEncoder<'_>,
    ) -> Result<(), Error> {
        let end = |end: Option<u64>| end.map_or(f64::INFINITY, |end| self.unit.show(end));
        let buckets: Vec<(f64, u64)> =
            read.buckets().map(|(bound, count)| (end(bound), count)).collect();
        let sum = self.unit.show(read.sum());
        encoder.encode_histogram::<NoLabelSet>(sum, read.count(), &buckets, None)
    }
}

impl Collector for Histograms {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        // What is registered gets its full stop by itself.
        let help = format!("{}.", self.help);
        let kind = MetricType::Histogram;
        let mut encoder = encoder.encode_descriptor(self.name, &help, None, kind)?;
        for (label, read) in &self.rows {
            match label {
                Some(label) => self.write(read, &mut encoder.encode_family(&[*label])?)?,
                None => self.write(read, &mut encoder)?,
            }
        }
        Ok(())
    }
}
