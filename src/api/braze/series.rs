//! What a campaign has sent, by day and variant, out of the counts that are kept by the hour.

use serde_json::{Value, json};

use super::exports::{contents, message_id, name_of};
use crate::model::Timestamp;
use crate::store::Count;

const DAY_MS: i64 = 86_400_000;
/// Characters of `2026-11-24`.
const DATE_LENGTH: usize = 10;

/// The answer of `/campaigns/data_series`: a row a day, the oldest first.
pub(super) fn series(
    campaign: &str,
    document: &Value,
    counts: &[Count],
    (from, days): (Timestamp, u32),
) -> Value {
    let variants: Vec<&str> = contents(document).into_iter().map(|(variant, _)| variant).collect();
    let rows = (0..i64::from(days)).map(|day| {
        let start = from.as_millis() + day * DAY_MS;
        let of_day: Vec<&Count> = counts
            .iter()
            .filter(|count| (start..start + DAY_MS).contains(&count.hour.as_millis()))
            .collect();
        let messages: Vec<Value> = variants
            .iter()
            .map(|variant| {
                let of_variant = of_day
                    .iter()
                    .filter(|count| variant_of(&count.key.part, &variants) == *variant);
                let (mut sent, mut errors) = (0, 0);
                for count in of_variant {
                    match count.key.what.as_str() {
                        "sent" => sent += count.number,
                        what if what.starts_with("failed") => errors += count.number,
                        _ => {}
                    }
                }
                json!({
                    "variation_api_id": message_id(campaign, variant, 0),
                    "variation_name": name_of(variant),
                    "sent": sent,
                    "errors": errors,
                })
            })
            .collect();
        json!({
            "time": date(Timestamp::from_millis(start)),
            "messages": {"webhook": messages},
        })
    });
    json!({"message": "success", "data": rows.collect::<Vec<_>>()})
}

/// The days of a series that ends on the day of `ending_at`: its first moment, and that after it.
pub(super) fn span(ending_at: Timestamp, days: u32) -> (Timestamp, Timestamp) {
    let until = ending_at.as_millis().div_euclid(DAY_MS) + 1;
    let from = until - i64::from(days);
    (Timestamp::from_millis(from * DAY_MS), Timestamp::from_millis(until * DAY_MS))
}

/// The hours of the first and the last count of `what`.
pub(super) fn first_and_last(counts: &[Count], what: &str) -> Option<(Timestamp, Timestamp)> {
    let mut hours = counts.iter().filter(|count| count.key.what == what).map(|count| count.hour);
    let first = hours.next()?;
    Some((first, hours.next_back().unwrap_or(first)))
}

/// The variant that a part of the counts is of: `A`, or `A template@3`.
fn variant_of<'a>(part: &str, variants: &[&'a str]) -> &'a str {
    let is_of = |variant: &&&str| {
        part.strip_prefix(**variant).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    // A name may be the beginning of another one.
    let longest = variants.iter().filter(is_of).max_by_key(|variant| variant.len());
    longest.or(variants.first()).copied().unwrap_or("")
}

fn date(time: Timestamp) -> String {
    time.to_string().chars().take(DATE_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CountKey;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    fn count(hour: &str, part: &str, what: &str, number: i64) -> Count {
        let key = CountKey { subject: "c1".into(), part: part.into(), what: what.into() };
        Count { key, hour: at(hour), number }
    }

    #[test]
    fn series_has_a_row_a_day_and_sums_template_versions() {
        let document =
            json!({"variants": [{"name": "A", "webhooks": []}, {"name": "A b", "webhooks": []}]});
        let counts = [
            count("2026-11-23T23:00:00Z", "A", "sent", 2),
            count("2026-11-24T00:00:00Z", "A welcome@3", "sent", 3),
            count("2026-11-24T05:00:00Z", "A welcome@4", "sent", 4),
            count("2026-11-24T05:00:00Z", "A b", "sent", 8),
            count("2026-11-24T05:00:00Z", "A", "failed 410", 1),
            count("2026-11-24T05:00:00Z", "A", "delivered", 6),
        ];
        let (start, until) = span(at("2026-11-24T12:00:00Z"), 3);
        assert_eq!((start, until), (at("2026-11-22T00:00:00Z"), at("2026-11-25T00:00:00Z")));
        let answer = series("c1", &document, &counts, (start, 3));
        let days = answer["data"].as_array().expect("days");
        let times: Vec<&Value> = days.iter().map(|day| &day["time"]).collect();
        assert_eq!(times, ["2026-11-22", "2026-11-23", "2026-11-24"]);
        let numbers = |day: usize, variant: usize| {
            let row = &days[day]["messages"]["webhook"][variant];
            (row["sent"].as_i64().expect("sent"), row["errors"].as_i64().expect("errors"))
        };
        assert_eq!((numbers(0, 0), numbers(1, 0)), ((0, 0), (2, 0)));
        assert_eq!((numbers(2, 0), numbers(2, 1)), ((7, 1), (8, 0)));
        assert_eq!(days[2]["messages"]["webhook"][0]["variation_api_id"], message_id("c1", "A", 0));
    }

    #[test]
    fn first_and_last_hour_are_of_what_is_asked() {
        let counts = [
            count("2026-11-22T01:00:00Z", "", "aborted", 1),
            count("2026-11-22T02:00:00Z", "", "sent", 1),
            count("2026-11-23T03:00:00Z", "", "sent", 1),
        ];
        let expected = Some((at("2026-11-22T02:00:00Z"), at("2026-11-23T03:00:00Z")));
        assert_eq!(first_and_last(&counts, "sent"), expected);
        assert_eq!(first_and_last(&counts, "delivered"), None);
    }
}
