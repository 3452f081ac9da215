use proptest::prelude::*;

use super::*;

const NOW: &str = "2026-11-24T07:00:00Z";

fn now() -> Timestamp {
    Timestamp::parse(NOW).expect("a time")
}

fn signals(headers: &[(&str, &str)]) -> Signals {
    let header = |(name, value): &(&str, &str)| Header {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    read(&headers.iter().map(header).collect::<Vec<_>>(), now())
}

fn retry_after(value: &str) -> Option<f64> {
    signals(&[("retry-after", value)]).retry_after.map(|wait| wait.as_secs_f64())
}

/// Limit, remaining, reset in seconds of the only bucket.
fn bucket(headers: &[(&str, &str)]) -> (Option<u64>, Option<u64>, Option<f64>) {
    let signals = signals(headers);
    assert_eq!(signals.buckets.len(), 1, "{signals:?}");
    let bucket = &signals.buckets[0];
    (bucket.limit, bucket.remaining, bucket.reset.map(|reset| reset.as_secs_f64()))
}

#[test]
fn retry_after_in_all_its_forms() {
    assert_eq!(retry_after("120"), Some(120.0));
    assert_eq!(retry_after("0"), Some(0.0));
    assert_eq!(retry_after("2.5"), Some(2.5));
    assert_eq!(retry_after("Tue, 24 Nov 2026 07:02:00 GMT"), Some(120.0));
    assert_eq!(retry_after("Tuesday, 24-Nov-26 07:02:00 GMT"), Some(120.0));
    assert_eq!(retry_after("Tue Nov 24 07:02:00 2026"), Some(120.0));
    assert_eq!(retry_after("Mon, 23 Nov 2026 07:02:00 GMT"), Some(0.0));
    assert_eq!(retry_after("soon"), None);
    assert_eq!(retry_after("-5"), None);
    assert_eq!(retry_after(""), None);
    let millis = signals(&[("retry-after-ms", "1500")]);
    assert_eq!(millis.retry_after, Some(Duration::from_millis(1500)));
}

#[test]
fn dates_are_measured_against_the_answers_own_date() {
    let skewed = signals(&[
        ("date", "Tue, 24 Nov 2026 09:00:00 GMT"),
        ("retry-after", "Tue, 24 Nov 2026 09:00:30 GMT"),
    ]);
    assert_eq!(skewed.retry_after, Some(Duration::from_secs(30)));
}

#[test]
fn triples_in_the_wild() {
    let epoch = (now().as_secs() + 40).to_string();
    let millis = ((now().as_secs() + 40) * 1000).to_string();
    let expected = (Some(100), Some(7), Some(40.0));
    for prefix in ["x-ratelimit", "x-rate-limit", "ratelimit", "rate-limit"] {
        for reset in ["40", epoch.as_str(), millis.as_str(), "40.0", "2026-11-24T07:00:40Z"] {
            let names = ["limit", "remaining", "reset"].map(|part| format!("{prefix}-{part}"));
            let triple = [(&*names[0], "100"), (&*names[1], "7"), (&*names[2], reset)];
            assert_eq!(bucket(&triple), expected, "{prefix} {reset}");
        }
    }
}

#[test]
fn dialects() {
    let reddit = [("x-ratelimit-remaining", "12.0"), ("x-ratelimit-reset", "30")];
    assert_eq!(bucket(&reddit), (None, Some(12), Some(30.0)));
    let akamai = [("x-ratelimit-remaining", "0"), ("x-ratelimit-next", "2026-11-24T07:00:05Z")];
    assert_eq!(bucket(&akamai), (None, Some(0), Some(5.0)));
    let discord = [("x-ratelimit-remaining", "3"), ("x-ratelimit-reset-after", "1.25")];
    assert_eq!(bucket(&discord), (None, Some(3), Some(1.25)));
    let openai = [
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ];
    assert_eq!(bucket(&openai), (Some(60), Some(59), Some(1.0)));
    let shopify = [("x-shopify-shop-api-call-limit", "32/40")];
    assert_eq!(bucket(&shopify), (Some(40), Some(8), None));
    let anthropic = [
        ("anthropic-ratelimit-requests-limit", "50"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-11-24T07:00:10Z"),
    ];
    assert_eq!(bucket(&anthropic), (Some(50), Some(49), Some(10.0)));
}

#[test]
fn a_bucket_for_each_unit() {
    let kong = signals(&[
        ("x-ratelimit-limit-minute", "60"),
        ("x-ratelimit-remaining-minute", "0"),
        ("x-ratelimit-limit-hour", "1000"),
        ("x-ratelimit-remaining-hour", "900"),
        ("ratelimit-reset", "20"),
        ("ratelimit-remaining", "0"),
        ("ratelimit-limit", "60"),
    ]);
    assert_eq!(kong.buckets.len(), 3);
    assert_eq!(kong.buckets[0].window, Some(Duration::from_secs(60)));
    assert_eq!(kong.buckets[0].reset, Some(Duration::from_secs(20)));
}

#[test]
fn windows_beside_the_limit() {
    let envoy = signals(&[
        ("x-ratelimit-limit", "10, 10;w=1;name=\"a\", 1000;w=3600"),
        ("x-ratelimit-remaining", "4"),
        ("x-ratelimit-reset", "1"),
    ]);
    assert_eq!(envoy.buckets[0].limit, Some(10));
    assert_eq!(envoy.buckets[0].window, Some(Duration::from_secs(1)));
    assert!(envoy.buckets[0].coarse);
}

#[test]
fn the_structured_fields() {
    let draft = signals(&[
        ("ratelimit-policy", "\"burst\";q=100;w=60,\"daily\";q=1000;w=86400"),
        ("ratelimit", "\"burst\";r=45;t=30"),
    ]);
    let burst = &draft.buckets[0];
    assert_eq!((burst.limit, burst.remaining), (Some(100), Some(45)));
    assert_eq!(burst.reset, Some(Duration::from_secs(30)));
    assert_eq!(burst.window, Some(Duration::from_secs(60)));
    assert_eq!(draft.buckets[1].remaining, None);
    let dictionary = [("ratelimit", "limit=100, remaining=50, reset=30")];
    assert_eq!(bucket(&dictionary), (Some(100), Some(50), Some(30.0)));
}

#[test]
fn garbage_is_ignored() {
    for value in ["", "-1", "NaN", "inf", "1e400", "ümlaut", "\"", ";;;", ",,,", "0x10"] {
        let signals = signals(&[
            ("retry-after", value),
            ("x-ratelimit-remaining", value),
            ("x-ratelimit-reset", value),
            ("ratelimit", value),
            ("ratelimit-policy", value),
        ]);
        assert!(signals.buckets.iter().all(|bucket| bucket.remaining.is_none()), "{value}");
        assert_eq!(signals.retry_after, None, "{value}");
    }
}

proptest! {
    #[test]
    fn no_input_panics(name in 0_usize..12, value in "\\PC{0,60}|[0-9.,;=\"wrtq -]{0,40}") {
        let names = [
            "retry-after", "ratelimit", "ratelimit-policy", "x-ratelimit-limit",
            "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-reset-after",
            "x-ratelimit-interval-milliseconds", "x-shopify-shop-api-call-limit",
            "x-rate-limit-reset", "date", "x-ratelimit-remaining-minute",
        ];
        let _signals = signals(&[(names[name], &value), ("retry-after", "1")]);
    }

    #[test]
    fn retry_after_is_what_was_said(wait in 0_u32..1_000_000) {
        prop_assert_eq!(retry_after(&wait.to_string()), Some(f64::from(wait)));
    }
}
