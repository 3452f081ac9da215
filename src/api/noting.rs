//! What operators do to hosts, noted in the activity log beside the audit log: whoever looks why a
//! host is not called finds by whom.

use super::caller::Asking;
use crate::model::HostName;
use crate::store::{Acceptance, Activity, Writes};

/// Notes in the activity log what somebody did to a host. It was done: that it could not be noted
/// is for the log of the server.
pub(super) async fn note(api: &Asking, host: HostName, kind: &str) {
    let by = api.caller.name();
    let reason = api.engine.controls(&host).reason.filter(|_| kind == "host_paused");
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    let at = api.clock.wall();
    let entry = Activity {
        at,
        kind: kind.to_owned(),
        host: Some(host),
        detail: format!("by {by}{reason}"),
        ..Activity::default()
    };
    let writes = Writes { activity: vec![entry], ..Writes::default() };
    let workspace = api.caller.workspace;
    let acceptance = Acceptance { workspace, at, writes, ..Acceptance::default() };
    if let Err(error) = api.store.accept(acceptance).await {
        log::warn!(error:% = error; "what was done to a host is not in the activity log");
    }
}
