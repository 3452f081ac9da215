//! Who may see what of the streams.

use actix_web::test::TestRequest;
use hostline::access::Caller;
use hostline::model::{End, Verdict};
use serde_json::json;

use super::events::{Events, answered, settle};
use super::house::House;
use super::{ask_with, closed_house, make, request};

/// What is open to a key: the stream, or the status that it is refused with and the reason.
async fn open(house: &House, key: &str, query: &str) -> Result<Events, (u16, String)> {
    let request: TestRequest = request("GET", &format!("/v1/live{query}"), key);
    Events::open(house, request).await
}

#[actix_rt::test]
async fn each_part_of_a_stream_needs_its_scope() {
    let house = closed_house();
    let (_, stats) = make(&house, &["stats:read"], json!({})).await;
    let (_, deliveries) = make(&house, &["deliveries:read"], json!({})).await;
    let (_, hosts) = make(&house, &["hosts:read"], json!({})).await;
    let (_, sender) = make(&house, &["triggers:write"], json!({})).await;
    for (key, query, missing) in [
        (&sender, "", "stats:read"),
        (&hosts, "", "stats:read"),
        (&deliveries, "", "stats:read"),
        (&stats, "?top=5", "hosts:read"),
        (&stats, "?deliveries=true", "deliveries:read"),
        (&hosts, "?host=a.example&deliveries=true", "deliveries:read"),
        (&stats, "?host=a.example", "hosts:read"),
    ] {
        let (status, problem) = open(&house, key, query).await.err().expect(query);
        assert_eq!(status, 403, "{query}: {problem}");
        assert!(problem.contains(missing), "{query}: {problem}");
    }
    assert_eq!(open(&house, "hl_x", "").await.err().expect("no key").0, 401);
    let mut told = open(&house, &deliveries, "?deliveries=true").await.expect("it may");
    assert_eq!(told.text().await.as_deref(), Some("retry: 3000\n\n"));
    house.api.live().sampler().take();
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    house.api.live().sampler().take();
    let next = told.text().await;
    assert_eq!(next.as_deref(), Some(": still here\n\n"), "totals are not for it");
    let mut totals = open(&house, &stats, "").await.expect("it may");
    assert!(totals.text().await.unwrap().contains("event: stats"), "those of the last second");
}

#[actix_rt::test]
async fn a_workspace_hears_of_its_own_deliveries_alone() {
    let house = closed_house();
    let (_, admin) = make(&house, &["admin"], json!({})).await;
    for name in ["ours", "theirs"] {
        let made =
            ask_with(&house, "POST", "/v1/workspaces", &admin, json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let scopes = ["triggers:write", "deliveries:read", "hosts:read", "stats:read"];
    let (_, ours) = make(&house, &scopes, json!({ "workspace": "ours" })).await;
    let (_, theirs) = make(&house, &scopes, json!({ "workspace": "theirs" })).await;
    let trigger = json!({ "webhook": { "url": "https://shop.example/" } });
    let sent = ask_with(&house, "POST", "/v1/triggers", &ours, trigger).await.json();
    let id = sent["deliveries"][0]["id"].as_str().unwrap();
    for query in ["", "?top=3", "?host=shop.example&top=3"] {
        let status = open(&house, &ours, query).await.err().expect(query).0;
        assert_eq!(status, 403, "{query}: what is of all workspaces is for operators");
    }
    let mut own = open(&house, &ours, "?host=shop.example").await.expect("it has deliveries there");
    assert!(own.text().await.unwrap().contains("event: host"));
    let (status, _) = open(&house, &theirs, "?host=shop.example").await.err().expect("none there");
    assert_eq!(status, 404);
    let query = "?deliveries=true&host=shop.example";
    let mut own = open(&house, &ours, query).await.expect("it may");
    let mut others = open(&house, &theirs, query).await.expect("it may");
    let mut operators =
        open(&house, &admin, "?deliveries=true&state=delivered").await.expect("may");
    own.text().await;
    assert_eq!(others.text().await.as_deref(), Some("retry: 3000\n\n"), "nor the host");
    operators.text().await;
    // Once told whose it is, and once not, as of a delivery that its actor did not hold.
    for workspace in [Some(1), None] {
        let verdict = Verdict::End(End::Delivered);
        settle(&house, answered(id, 200, verdict), workspace).await;
    }
    let told = own.next().await;
    let names: Vec<_> = told.iter().map(|(name, told)| (name.as_str(), &told["id"])).collect();
    assert_eq!(names, [("delivery", &json!(id)), ("delivery", &json!(id))]);
    for stream in [&mut others, &mut operators] {
        assert_eq!(stream.text().await.as_deref(), Some(": still here\n\n"));
    }
}

#[actix_rt::test]
async fn a_key_that_is_revoked_sees_no_more() {
    let house = closed_house();
    let (id, key) = make(&house, &["deliveries:read"], json!({})).await;
    let mut events = open(&house, &key, "?deliveries=true").await.expect("it may");
    events.text().await;
    assert_eq!(events.text().await.as_deref(), Some(": still here\n\n"));
    house.api.access().revoke_key(&Caller::local(), id.as_str()).await.expect("revoked");
    assert_eq!(events.text().await, None);
}
