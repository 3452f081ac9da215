//! Whether what came is what a recipe expects: pure, so that a miss can be told in words.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::book::{Wanted, WantedActivity};
use crate::cli::receiver::Request;

/// A request that the receiver got.
#[derive(Clone)]
pub struct Seen {
    /// Its URL at the real service.
    pub url: String,
    /// The request.
    pub request: Request,
    /// Why it is not expected; `None` where it is.
    pub fault: Option<String>,
}

impl Seen {
    /// A request whose path begins with the host that it is meant for.
    pub fn new(request: Request) -> Self {
        Self { url: format!("https:/{}", request.path), request, fault: None }
    }
}

/// Judges requests; answers what was expected and did not come.
pub fn judge_requests(wanted: &[Wanted], seen: &mut [Seen]) -> Vec<String> {
    let mut open: Vec<usize> = wanted.iter().map(|wanted| wanted.times).collect();
    for seen in seen {
        let mut fault = None;
        let found = wanted.iter().zip(&mut open).find(|(wanted, open)| {
            if **open == 0 || wanted.method != seen.request.method || wanted.url != seen.url {
                return false;
            }
            // The first expectation of this URL says best what is wrong.
            let differs = difference_of(wanted, &seen.request);
            let fits = differs.is_none();
            fault = fault.take().or(differs);
            fits
        });
        seen.fault = match found {
            Some((_, open)) => {
                *open -= 1;
                None
            }
            None => Some(fault.unwrap_or_else(|| "no such request is expected (any more)".into())),
        };
    }
    let missing = wanted.iter().zip(open).filter(|(_, open)| *open > 0);
    missing.map(|(wanted, open)| format!("{open} × {} {}", wanted.method, wanted.url)).collect()
}

fn difference_of(wanted: &Wanted, request: &Request) -> Option<String> {
    for (name, value) in &wanted.headers {
        match request.header(name) {
            Some(found) if found == value => {}
            Some(found) => return Some(format!("header {name} is {found:?}, not {value:?}")),
            None => return Some(format!("header {name} is missing")),
        }
    }
    if let Some(text) = &wanted.text {
        let found = String::from_utf8_lossy(&request.body);
        return (found != *text).then(|| format!("the body is {found:?}, not {text:?}"));
    }
    let json = wanted.json.as_ref()?;
    match serde_json::from_slice(&request.body) {
        Ok(found) => difference(json, &found, ""),
        Err(why) => Some(format!("the body is not JSON: {why}")),
    }
}

/// Where two values differ first, and how.
fn difference(wanted: &Value, found: &Value, pointer: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let extra = found.keys().find(|key| !wanted.contains_key(*key));
            let missing = |key: &String| format!("{pointer}/{key} is missing");
            let unequal = wanted.iter().find_map(|(key, value)| match found.get(key) {
                Some(found) => difference(value, found, &format!("{pointer}/{key}")),
                None => Some(missing(key)),
            });
            unequal.or_else(|| extra.map(|key| format!("{pointer}/{key} is not expected")))
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let pairs = wanted.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(at, (wanted, found))| {
                difference(wanted, found, &format!("{pointer}/{at}"))
            })
        }
        _ => (wanted != found).then(|| {
            let place = if pointer.is_empty() { "the body" } else { pointer };
            format!("{place} is {found}, not {wanted}")
        }),
    }
}

/// Judges the activity log; answers what stands there and should not, and what should and does not.
pub fn judge_activity(wanted: &[WantedActivity], log: &[Value]) -> Vec<String> {
    let mut open: Vec<usize> = wanted.iter().map(|wanted| wanted.times).collect();
    let mut faults = Vec::new();
    for entry in log {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let found = wanted.iter().zip(&mut open).find(|(wanted, open)| {
            **open > 0
                && wanted.kind == text("kind")
                && wanted.recipient == text("recipient")
                && text("detail").contains(&wanted.detail)
        });
        match found {
            Some((_, open)) => *open -= 1,
            None => faults.push(format!(
                "the activity log has {:?} of {:?}: {}",
                text("kind"),
                text("recipient"),
                text("detail")
            )),
        }
    }
    let missing = wanted.iter().zip(open).filter(|(_, open)| *open > 0);
    faults.extend(missing.map(|(wanted, open)| {
        let WantedActivity { kind, recipient, detail, .. } = wanted;
        format!("the activity log lacks {open} × {kind:?} of {recipient:?}: {detail}")
    }));
    faults
}

/// Judges the counts of a report: those that are named have to be right.
pub fn judge_counts(name: &str, wanted: &BTreeMap<String, i64>, report: &Value) -> Vec<String> {
    let counts = &report["total"]["counts"];
    let wrong = wanted.iter().filter_map(|(word, number)| {
        let found = counts[word].as_i64().unwrap_or(0);
        (found != *number).then(|| format!("{name:?} counts {found} {word}, not {number}"))
    });
    wrong.collect()
}

/// Judges a profile: the attributes that are named have to be right.
pub fn judge_profile(id: &str, wanted: &Map<String, Value>, profile: &Value) -> Vec<String> {
    let wrong = wanted.iter().filter_map(|(name, value)| {
        let found = &profile["attributes"][name];
        (found != value).then(|| format!("{name} of {id:?} is {found}, not {value}"))
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::model::Header;

    fn seen(path: &str, body: &'static str) -> Seen {
        let header = Header { name: "content-type".into(), value: "application/json".into() };
        Seen::new(Request {
            method: "POST".into(),
            path: path.into(),
            headers: vec![header],
            body: Bytes::from_static(body.as_bytes()),
            keep_alive: true,
        })
    }

    fn wanted(json: Value) -> Wanted {
        serde_json::from_value(json).expect("an expectation")
    }

    #[test]
    fn requests_fit_in_any_order_and_each_expectation_once() {
        let expected = [
            wanted(json!({"method": "POST", "url": "https://a.example/x", "json": {"n": 1}})),
            wanted(json!({"method": "POST", "url": "https://a.example/x", "json": {"n": 2}})),
        ];
        let mut came = [
            seen("/a.example/x", r#"{"n":2}"#),
            seen("/a.example/x", r#"{"n": 1}"#),
            seen("/a.example/x", r#"{"n":1}"#),
        ];
        assert!(judge_requests(&expected, &mut came).is_empty());
        let faults: Vec<bool> = came.iter().map(|seen| seen.fault.is_some()).collect();
        assert_eq!(faults, [false, false, true]);
        let missing = judge_requests(&expected, &mut came[..1]);
        assert_eq!(missing, ["1 × POST https://a.example/x"]);
    }

    #[test]
    fn a_miss_is_told_by_its_place() {
        let base = json!({
            "method": "POST",
            "url": "https://a.example/x",
            "headers": {"content-type": "application/json"},
            "json": {"list": [{"n": 1}], "text": "t"}
        });
        for (body, words) in [
            (r#"{"list":[{"n":1}],"text":"t"}"#, None),
            (r#"{"list":[{"n":2}],"text":"t"}"#, Some("/list/0/n is 2, not 1")),
            (r#"{"list":[{"n":1}]}"#, Some("/text is missing")),
            (r#"{"list":[],"text":"t"}"#, Some("/list is [], not")),
            (r#"{"list":[{"n":1,"m":1}],"text":"t"}"#, Some("/list/0/m is not expected")),
            ("nothing", Some("not JSON")),
        ] {
            let mut came = [seen("/a.example/x", body)];
            judge_requests(&[wanted(base.clone())], &mut came);
            match (words, &came[0].fault) {
                (None, None) => {}
                (Some(words), Some(fault)) => assert!(fault.contains(words), "{fault}"),
                (_, fault) => panic!("{body}: {fault:?}"),
            }
        }
        let mut other = base;
        other["headers"] = json!({"content-type": "text/plain", "x-key": "k"});
        let mut came = [seen("/a.example/x", r#"{"list":[{"n":1}],"text":"t"}"#)];
        judge_requests(&[wanted(other)], &mut came);
        assert!(came[0].fault.as_ref().is_some_and(|fault| fault.contains("content-type")));
    }

    #[test]
    fn what_the_log_should_not_have_is_a_fault_as_well_as_what_it_lacks() {
        let wanted: Vec<WantedActivity> = serde_json::from_value(
            json!([{"kind": "aborted", "recipient": "r", "detail": "no phone", "times": 2}]),
        )
        .expect("an expectation");
        let entry = json!({"kind": "aborted", "recipient": "r", "detail": "no phone number"});
        assert!(judge_activity(&wanted, &[entry.clone(), entry.clone()]).is_empty());
        assert!(judge_activity(&wanted, std::slice::from_ref(&entry))[0].contains("lacks 1"));
        let failed = json!({"kind": "failed", "recipient": "r", "detail": "404"});
        assert!(judge_activity(&wanted, &[entry.clone(), failed, entry])[0].contains("failed"));
    }

    #[test]
    fn counts_and_profiles_are_judged_by_what_is_named() {
        let counts = BTreeMap::from([("sent".to_owned(), 2), ("aborted".to_owned(), 0)]);
        let report = json!({"total": {"counts": {"sent": 2, "delivered": 2}}});
        assert!(judge_counts("c", &counts, &report).is_empty());
        let fewer = json!({"total": {"counts": {"sent": 1}}});
        assert_eq!(judge_counts("c", &counts, &fewer), ["\"c\" counts 1 sent, not 2"]);
        let Value::Object(wanted) = json!({"n": 3}) else { unreachable!() };
        assert!(judge_profile("r", &wanted, &json!({"attributes": {"n": 3, "m": 1}})).is_empty());
        let wrong = judge_profile("r", &wanted, &json!({"attributes": {}}));
        assert_eq!(wrong, ["n of \"r\" is null, not 3"]);
    }
}
