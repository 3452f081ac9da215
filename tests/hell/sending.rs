//! The real sender, as these tests use it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::delivery::{AttemptRequest, HttpSender, Report, Sender, SenderShared};
use hostline::model::{DeliveryId, Header, HostNumber, Method, Target, Timestamp, Webhook};
use hostline::store::StoreLimits;
use hostline::store::memory::MemoryStore;
use hostline::vault::Vault;

/// An attempt's timeout: longer than anything that is not to time out may take on a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(2);

static TURN: Mutex<()> = Mutex::new(());

/// One test at a time: they measure times, and each alone keeps a machine busy.
pub fn turn() -> MutexGuard<'static, ()> {
    // Another test that failed says nothing about this one.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a test on a runtime of its own, and while no other runs.
pub fn alone(test: impl Future<Output = ()>) {
    let _turn = turn();
    actix_rt::System::new().block_on(test);
}

/// Settings under which loopback may be reached.
pub fn settings(timeout: Duration) -> Settings {
    let mut settings = Settings::default();
    settings.sender.allow_nets = vec!["127.0.0.0/8".parse().expect("a network")];
    settings.sender.ports = Vec::new();
    settings.sender.timeout = timeout;
    settings
}

pub fn shared(settings: &Settings) -> SenderShared {
    let store = MemoryStore::new(StoreLimits { max_pending: 1 });
    let vault = Vault::new(store, settings, Clock::system());
    SenderShared::new(settings, Clock::system(), vault).expect("valid settings")
}

pub fn sender(shared: &SenderShared, url: &str) -> HttpSender {
    let target = Target::from_vetted(url).expect("a vetted URL");
    HttpSender::new(shared.clone(), target.host().clone())
}

/// Sends one POST; `number` tells deliveries apart.
pub async fn post(sender: &HttpSender, url: &str, body: Bytes, number: u32) -> Report {
    let webhook = Webhook {
        method: Method::Post,
        target: Target::from_vetted(url).expect("a vetted URL"),
        headers: vec![Header { name: "content-type".into(), value: "application/json".into() }],
        body,
        secret_refs: Vec::new(),
    };
    let id =
        DeliveryId::new(Timestamp::from_millis(1_700_000_000_000), HostNumber(7), number.into());
    let policy = Default::default();
    let webhook = webhook.into();
    sender.attempt(AttemptRequest { id, workspace: 0, webhook, number: 1, policy }).await
}
