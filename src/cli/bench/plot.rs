//! The course of a run as a picture (SVG): rates, latency and memory over time.

use std::fmt::Write as _;

use super::run::{Outcome, Sample};

const WIDTH: f64 = 900.0;
const PANEL: f64 = 170.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const GAP: f64 = 46.0;
/// Samples that one point of a rate stands for: one alone jumps with the length of its interval.
const SMOOTH: usize = 3;

struct Series {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws a run.
pub(super) fn svg(outcome: &Outcome) -> String {
    let samples = &outcome.samples;
    let ms = |micros: u64| micros as f64 / 1000.0;
    let of = |value: &dyn Fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        samples.iter().map(|sample| (sample.seconds, value(sample))).collect()
    };
    let heard: Vec<Sample> =
        samples.iter().filter(|sample| sample.latency.count > 0).copied().collect();
    let latency = |value: fn(&Sample) -> u64| -> Vec<(f64, f64)> {
        heard.iter().map(|sample| (sample.seconds, ms(value(sample)))).collect()
    };
    let panels = [
        (
            "a second",
            vec![
                Series {
                    name: "accepted",
                    colour: "#8a8f98",
                    points: rate(samples, |sample| sample.accepted),
                },
                Series {
                    name: "delivered",
                    colour: "#1f7a4d",
                    points: rate(samples, |sample| sample.delivered),
                },
            ],
        ),
        (
            "ms, POST to arrival",
            vec![
                Series {
                    name: "p50",
                    colour: "#2b6cb0",
                    points: latency(|sample| sample.latency.p50),
                },
                Series {
                    name: "p99",
                    colour: "#c05621",
                    points: latency(|sample| sample.latency.p99),
                },
            ],
        ),
        (
            "MiB resident",
            vec![Series {
                name: "server",
                colour: "#6b46c1",
                points: of(&|sample| sample.rss_bytes as f64 / f64::from(1 << 20)),
            }],
        ),
    ];
    let seconds = samples.last().map_or(1.0, |sample| sample.seconds).max(0.1);
    let height = TOP + panels.len() as f64 * (PANEL + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
        escaped(&outcome.name)
    );
    for (number, (unit, series)) in panels.iter().enumerate() {
        let top = TOP + number as f64 * (PANEL + GAP);
        panel(&mut out, top, unit, series, seconds);
    }
    out.push_str("</svg>\n");
    out
}

fn rate(samples: &[Sample], count: fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    let pairs = samples.iter().zip(samples.iter().skip(SMOOTH));
    pairs
        .map(|(from, to)| {
            let span = (to.seconds - from.seconds).max(0.001);
            (to.seconds, count(to).saturating_sub(count(from)) as f64 / span)
        })
        .collect()
}

fn panel(out: &mut String, top: f64, unit: &str, series: &[Series], seconds: f64) {
    let all = series.iter().flat_map(|one| one.points.iter().map(|point| point.1));
    let most = round_up(all.fold(0.0, f64::max));
    let (across, bottom) = (WIDTH - LEFT - RIGHT, top + PANEL);
    let x = |at: f64| LEFT + at / seconds * across;
    let y = |value: f64| bottom - value / most * PANEL;
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        let line = y(value);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#e2e8f0\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT + across,
            LEFT - 6.0,
            line + 4.0,
            short(value)
        );
    }
    let mut label = LEFT + 4.0;
    for one in series {
        let mut points = String::new();
        for (at, value) in &one.points {
            let _ = write!(points, "{:.1},{:.1} ", x(*at), y(*value));
        }
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{0}\" stroke-width=\"1.5\" points=\"{points}\"/>\
             <text x=\"{label:.1}\" y=\"{1:.1}\" fill=\"{0}\">{2}</text>",
            one.colour,
            top - 6.0,
            one.name
        );
        label += 90.0;
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#4a5568\">{unit}</text>\
         <text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#4a5568\">0 s</text>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#4a5568\">{seconds:.1} s</text>",
        LEFT + across,
        top - 6.0,
        bottom + 16.0,
        LEFT + across,
        bottom + 16.0
    );
}

/// The next of 1, 2, 4, 8 times a power of ten, so that the scale reads well.
fn round_up(most: f64) -> f64 {
    let power = 10_f64.powf(most.max(1e-3).log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|top| *top >= most).unwrap_or(power * 10.0)
}

fn short(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{:.0}k", value / 1000.0),
        value if value >= 100.0 => format!("{value:.0}"),
        value => format!("{}", (value * 100.0).round() / 100.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_on_round_numbers() {
        assert_eq!([0.0, 0.9, 3.0, 17_000.0].map(round_up), [0.001, 1.0, 4.0, 20_000.0]);
        assert_eq!([20_000.0, 150.0, 2.5].map(short), ["20k", "150", "2.5"]);
    }

    #[test]
    fn a_run_without_samples_still_draws() {
        let outcome = Outcome { name: "a <b>".into(), ..Outcome::default() };
        let picture = svg(&outcome);
        assert!(picture.contains("a &lt;b&gt;") && picture.ends_with("</svg>\n"));
    }
}
