//! Alerts: what goes wrong is told once, to those whom it concerns, also over a restart.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use actix_web::{App, test as front, web};
use common::{Reply, Sim, Wanted, mins, secs, simulated};
use hostline::alerts::{ALERT_TERM, Alerts};
use hostline::api::{self, Api};
use hostline::config::Settings;
use hostline::model::{AlertKind, DeliveryId, End, StoredState};
use hostline::store::{Activity, ActivityFilter};
use serde_json::{Value, json};

const SHOP: &str = "shop.example";
const OPS: &str = "ops.example";
const CHAT: &str = "chat.example";
const GUEST: u32 = 7;
/// A host in place of a status: nobody listens.
const DOWN: u16 = 0;

/// Settings with a fixed URL, and one attempt for each delivery.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.alerts.url = Some(format!("https://{OPS}/alerts"));
    settings.rules.retry.retries = 0;
    settings
}

/// An engine, what composes above it, and who watches.
struct Watched {
    sim: Sim,
    api: web::Data<Api>,
    watch: actix_rt::task::JoinHandle<()>,
}

impl Watched {
    async fn new(settings: Settings) -> Self {
        Self::over(Sim::with(settings).await).await
    }

    async fn over(sim: Sim) -> Self {
        let settings = Arc::new(sim.settings.clone());
        let engine = Arc::new(sim.engine.clone());
        let api = Api::new(sim.store.clone(), engine, settings, sim.clock.clone());
        for workspace in [0, GUEST] {
            api.composers().open(workspace).await.expect("the catalog opens");
        }
        let watch = Self::watch(&sim, &api);
        let watched = Self { sim, api, watch };
        watched.sim.run_for(secs(2)).await;
        watched
    }

    fn watch(sim: &Sim, api: &web::Data<Api>) -> actix_rt::task::JoinHandle<()> {
        let alerts = Alerts::new(
            api.composers().clone(),
            sim.store.clone(),
            Arc::new(sim.settings.clone()),
            sim.clock.clone(),
        );
        actix_rt::spawn(alerts.run(sim.engine.facts().clone()))
    }

    /// Everything begins anew over the same store.
    async fn restarted(self) -> Self {
        self.watch.abort();
        Self::over(self.sim.restarted().await).await
    }

    /// Makes and launches a campaign that an alert starts.
    async fn campaign(&self, event: &str) {
        let document = json!({ "name": event, "trigger": { "type": "event", "event": event },
            "webhooks": [{ "url": format!("https://{CHAT}/hook"),
                "body": { "text": "{{ event_properties.text }}" } }] });
        let made = self.post("/v1/campaigns", &document).await;
        let id = made["id"].as_str().unwrap_or_else(|| panic!("{made}"));
        self.post(&format!("/v1/campaigns/{id}/launch"), &json!({})).await;
    }

    async fn post(&self, uri: &str, body: &Value) -> Value {
        let app = App::new().configure(api::configure(self.api.clone()));
        let app = front::init_service(app).await;
        let request = front::TestRequest::post().uri(uri).set_json(body).to_request();
        let answer = front::call_and_read_body(&app, request).await;
        serde_json::from_slice(&answer).unwrap_or_default()
    }

    /// The bodies that a host got, in their order.
    async fn bodies(&self, host: &str) -> Vec<Value> {
        let mut bodies = Vec::new();
        for arrival in self.sim.arrivals(host) {
            let body = self.sim.record(arrival.id).await.webhook.body.clone();
            bodies.push(serde_json::from_slice(&body).expect("JSON"));
        }
        bodies
    }

    /// Kinds of the alerts that the fixed URL got.
    async fn told(&self) -> Vec<String> {
        let bodies = self.bodies(OPS).await;
        let kinds = bodies.iter().filter_map(|body| body["type"].as_str());
        kinds.map(|kind| kind.trim_start_matches("hostline.").to_owned()).collect()
    }

    /// Kinds in the activity log of a workspace, oldest first.
    async fn noted(&self, workspace: u32) -> Vec<String> {
        let entries = self.activity(workspace).await.into_iter().rev();
        entries.map(|entry| entry.kind).collect()
    }

    async fn activity(&self, workspace: u32) -> Vec<Activity> {
        let filter = ActivityFilter { workspace, ..ActivityFilter::default() };
        let page = self.sim.store.activity(filter, None, 1_000).await.expect("the store works");
        // The store notes other things by itself.
        let others = ["alerts_left_out", "loop_cut"];
        let of_alerts = |entry: &Activity| {
            AlertKind::of_word(&entry.kind).is_some() || others.contains(&entry.kind.as_str())
        };
        page.rows.into_iter().map(|row| row.entry).filter(of_alerts).collect()
    }

    async fn fail(&self, host: &str, count: usize) -> Vec<DeliveryId> {
        let ids = self.sim.submit_many(host, count).await;
        self.sim.run_for(secs(5)).await;
        ids
    }
}

/// A host that answers what the switch says; with `DOWN` it refuses connections.
fn switched(watched: &Watched, host: &str, status: u16) -> Arc<AtomicU16> {
    let switch = Arc::new(AtomicU16::new(status));
    let read = switch.clone();
    watched.sim.rule(host, move |_| match read.load(Ordering::Relaxed) {
        DOWN => Reply::Refuse,
        status => Reply::status(status),
    });
    switch
}

#[test]
fn a_host_that_trips_and_recovers_is_told_once_each_and_starts_a_campaign() {
    simulated(async {
        let mut settings = settings();
        settings.rules.retry.retries = 5;
        let watched = Watched::new(settings).await;
        watched.campaign("hostline.host_unhealthy").await;
        let switch = switched(&watched, SHOP, DOWN);
        watched.sim.submit_many(SHOP, 200).await;
        watched.sim.run_for(mins(3)).await;
        assert_eq!(watched.told().await, ["host_unhealthy"], "a failed probe is no news");
        let body = watched.bodies(OPS).await.remove(0);
        assert_eq!(body["data"]["host"], SHOP, "{body}");
        assert!(
            body["data"]["reason"].as_str().is_some_and(|why| why.contains("failed")),
            "{body}"
        );
        assert!(body["data"]["until"].is_string() && body["timestamp"].is_string(), "{body}");
        let texts = watched.bodies(CHAT).await;
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(texts[0]["text"], body["data"]["text"]);
        let arrival = &watched.sim.arrivals(OPS)[0];
        let metadata = watched.sim.record(arrival.id).await.metadata;
        assert_eq!(metadata, [(ALERT_TERM.to_owned(), "host_unhealthy".to_owned())]);
        switch.store(200, Ordering::Relaxed);
        watched.sim.run_for(mins(5)).await;
        assert_eq!(watched.told().await, ["host_unhealthy", "host_recovered"]);
        assert_eq!(watched.noted(0).await, ["host_unhealthy", "host_recovered"]);
    });
}

#[test]
fn a_delivery_given_up_and_a_blocked_key_are_told() {
    simulated(async {
        let watched = Watched::new(settings()).await;
        watched.campaign("hostline.ordering_key_blocked").await;
        switched(&watched, SHOP, 500);
        let keyed = Wanted { key: Some("order 7"), block: true, ..Wanted::default() };
        let id = watched.sim.submit(SHOP, keyed).await;
        watched.sim.run_for(secs(5)).await;
        assert_eq!(watched.told().await, ["delivery_exhausted", "ordering_key_blocked"]);
        let data = watched.bodies(OPS).await.remove(1)["data"].clone();
        assert_eq!((&data["delivery"], &data["status"]), (&json!(id), &json!(500)), "{data}");
        assert_eq!(data["ordering_key"], "order 7", "{data}");
        assert_eq!(watched.bodies(CHAT).await.len(), 1);
        let entry = watched.activity(0).await.remove(0);
        assert_eq!((entry.delivery, entry.status), (Some(id), Some(500)));
        // A permanent answer is no alert, unless it blocks a key.
        watched.sim.script(SHOP, [Reply::status(404)]);
        watched.fail(SHOP, 1).await;
        assert_eq!(watched.told().await.len(), 2);
    });
}

#[test]
fn errors_past_the_threshold_are_told_once_a_day() {
    simulated(async {
        let mut settings = settings();
        settings.alerts.errors_threshold = 10;
        let watched = Watched::new(settings).await;
        switched(&watched, SHOP, 404);
        watched.fail(SHOP, 10).await;
        assert_eq!(watched.told().await, Vec::<String>::new());
        watched.fail(SHOP, 20).await;
        watched.fail(SHOP, 20).await;
        assert_eq!(watched.told().await, ["endpoint_errors"]);
        let data = watched.bodies(OPS).await.remove(0)["data"].clone();
        assert!(data["errors"].as_u64().is_some_and(|count| count > 10), "{data}");
        assert_eq!(data["threshold"], 10, "{data}");
        watched.sim.run_for(mins(25 * 60)).await;
        watched.fail(SHOP, 5).await;
        assert_eq!(watched.told().await.len(), 1, "those of yesterday do not count");
        watched.fail(SHOP, 20).await;
        assert_eq!(watched.told().await.len(), 2);
    });
}

#[test]
fn a_kind_is_told_once_a_day_and_host_where_that_is_asked() {
    simulated(async {
        let mut settings = settings();
        settings.alerts.once_a_day = vec![AlertKind::DeliveryExhausted];
        let watched = Watched::new(settings).await;
        for host in [SHOP, "other.example"] {
            switched(&watched, host, 500);
            watched.fail(host, 3).await;
        }
        assert_eq!(watched.told().await, ["delivery_exhausted"; 2]);
        watched.sim.run_for(mins(24 * 60 + 1)).await;
        watched.fail(SHOP, 2).await;
        assert_eq!(watched.told().await, ["delivery_exhausted"; 3]);
    });
}

#[test]
fn what_happens_while_nobody_watches_is_told_after_the_restart_and_once() {
    simulated(async {
        let mut settings = settings();
        settings.alerts.errors_threshold = 20;
        let watched = Watched::new(settings).await;
        switched(&watched, SHOP, DOWN);
        switched(&watched, "other.example", 404);
        watched.fail("other.example", 15).await;
        // What was counted is saved every now and then.
        watched.sim.run_for(secs(30)).await;
        watched.watch.abort();
        watched.sim.submit_many(SHOP, 40).await;
        watched.sim.run_for(secs(20)).await;
        assert_eq!(watched.told().await, Vec::<String>::new());
        let watched = watched.restarted().await;
        watched.sim.run_for(secs(10)).await;
        let mut told = watched.told().await;
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, ["delivery_exhausted", "host_unhealthy"]);
        let count = watched.told().await.len();
        let watched = watched.restarted().await;
        watched.sim.run_for(secs(10)).await;
        assert_eq!(watched.told().await.len(), count, "nothing twice");
        watched.fail("other.example", 10).await;
        assert_eq!(watched.told().await.last().map(String::as_str), Some("endpoint_errors"));
    });
}

#[test]
fn an_ill_host_of_the_fixed_url_makes_no_loop() {
    simulated(async {
        let watched = Watched::new(settings()).await;
        switched(&watched, SHOP, DOWN);
        switched(&watched, OPS, DOWN);
        watched.fail(SHOP, 40).await;
        let first = watched.sim.arrivals(OPS).len();
        assert!(first > 0);
        watched.fail(OPS, 40).await;
        watched.sim.run_for(mins(60)).await;
        for arrival in watched.sim.arrivals(OPS) {
            let record = watched.sim.record(arrival.id).await;
            let body = String::from_utf8_lossy(&record.webhook.body).into_owned();
            assert!(!body.contains(&format!("\"host\":{OPS:?}")), "{body}");
        }
        let ops = |entry: &Activity| entry.host.as_ref().is_some_and(|host| host.as_str() == OPS);
        let of_ops = watched.activity(0).await.into_iter().filter(ops);
        let kinds: Vec<String> = of_ops.map(|entry| entry.kind).collect();
        assert!(kinds.contains(&"host_unhealthy".to_owned()), "it is noted: {kinds:?}");
        for entry in watched.activity(0).await {
            let Some(id) = entry.delivery else { continue };
            let metadata = watched.sim.record(id).await.metadata;
            assert!(metadata.is_empty(), "an alert about an alert: {entry:?}");
        }
    });
}

#[test]
fn a_campaign_that_its_own_failures_start_comes_to_an_end() {
    simulated(async {
        let watched = Watched::new(settings()).await;
        watched.campaign("hostline.delivery_exhausted").await;
        for host in [SHOP, CHAT] {
            switched(&watched, host, 500);
        }
        watched.fail(SHOP, 1).await;
        watched.sim.run_for(mins(60)).await;
        let hops = watched.sim.arrivals(CHAT).len();
        assert_eq!(hops, usize::from(watched.sim.settings.compose.max_hops));
        assert!(watched.noted(0).await.contains(&"loop_cut".to_owned()));
    });
}

#[test]
fn a_guests_alerts_stay_with_the_guest() {
    simulated(async {
        let watched = Watched::new(settings()).await;
        watched.campaign("hostline.delivery_exhausted").await;
        switched(&watched, SHOP, 500);
        let of_guest = Wanted { workspace: GUEST, ..Wanted::default() };
        let id = watched.sim.submit(SHOP, of_guest).await;
        watched.sim.run_for(secs(5)).await;
        assert_eq!(watched.sim.state(id).await, StoredState::Ended(End::Exhausted));
        assert_eq!(watched.noted(GUEST).await, ["delivery_exhausted"]);
        assert_eq!(watched.noted(0).await, Vec::<String>::new());
        assert!(watched.sim.arrivals(OPS).is_empty() && watched.sim.arrivals(CHAT).is_empty());
    });
}

#[test]
fn many_hosts_that_fall_ill_at_once_are_no_storm() {
    simulated(async {
        let mut settings = settings();
        settings.alerts.per_minute = 5;
        settings.alerts.kinds = vec![AlertKind::HostUnhealthy];
        let watched = Watched::new(settings).await;
        for number in 0..40 {
            let host = format!("shop{number}.example");
            switched(&watched, &host, DOWN);
            watched.sim.submit_many(&host, 25).await;
        }
        watched.sim.run_for(mins(3)).await;
        assert!(watched.told().await.len() <= 10, "{:?}", watched.told().await);
        let entries = watched.activity(0).await.into_iter();
        let left_out: Vec<String> = entries
            .filter(|entry| entry.kind == "alerts_left_out")
            .map(|entry| entry.detail)
            .collect();
        assert!(!left_out.is_empty() && left_out[0].contains("were left out"), "{left_out:?}");
        switched(&watched, "late.example", DOWN);
        watched.fail("late.example", 25).await;
        let last = watched.bodies(OPS).await.pop().expect("it is told");
        assert!(last["data"]["left_out"].as_u64().is_some_and(|count| count >= 30), "{last}");
    });
}
