//! Where `keys` and `workspaces` get their answers: from a server that runs, or from the store that
//! no server has open. Both answer in the JSON of the API.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::server::{Credentials, Server, Unanswered, part};
use super::{SettingsArgs, named_flag};
use crate::access::{Access, AccessError, Caller, NewKey, Shown, WorkspaceChange};
use crate::clock::Clock;
use crate::config::{Settings, StoreKind, load};
use crate::store::embedded::{EmbeddedStore, OpenError};
use crate::store::{Store, StoreLimits};

/// Which server or store is meant, and how the answer is shown.
#[derive(Args, Debug)]
pub(super) struct Reach {
    /// The server to ask [default: the one at server.listen]
    #[arg(long, visible_alias = "server", value_name = "URL", env = "HOSTLINE_SERVER")]
    #[arg(help_heading = "Server")]
    pub(super) url: Option<String>,
    #[command(flatten)]
    pub(super) credentials: Credentials,
    /// Directory of the store that is opened while no server runs (store.path, default ./data)
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What is asked.
pub(super) enum Ask {
    CreateKey(NewKey),
    ListKeys,
    RevokeKey(String),
    RotateKey { id: String, overlap: Option<String> },
    Audit(usize),
    CreateWorkspace(WorkspaceChange),
    ChangeWorkspace { name: String, change: WorkspaceChange },
    ListWorkspaces,
}

impl Ask {
    /// Whether it makes sense where there is no data yet.
    fn begins(&self) -> bool {
        matches!(self, Ask::CreateKey(_) | Ask::CreateWorkspace(_))
    }
}

/// Finds out whom to ask, and asks.
pub(super) fn answer(ask: &Ask, reach: &Reach, settings: &SettingsArgs) -> Result<Value, String> {
    let data = reach.data.as_ref().map(|data| data.to_string_lossy());
    let flags = data.iter().map(|data| named_flag("--data", "store.path", data)).collect();
    let loaded = load(settings.sources(flags)?).map_err(|errors| errors.to_string())?;
    let settings = loaded.settings;
    actix_rt::System::new().block_on(async {
        if reach.url.is_some() || reach.credentials.has_key() {
            return online(ask, reach, &settings).await.map_err(|wrong| wrong.to_string());
        }
        match offline(ask, &settings).await {
            Err(Offline::Locked) => {
                online(ask, reach, &settings).await.map_err(|wrong| match wrong {
                    Unanswered::NeedsKey => "a server is running on this store, and it wants an \
                        API key: give one that may do this with --key or HOSTLINE_KEY, or stop \
                        the server first"
                        .into(),
                    wrong => format!(
                        "another process has the store {} open: {wrong}; name the server with \
                         --url, or stop it first",
                        settings.store.path.display()
                    ),
                })
            }
            Err(Offline::Refused(wrong)) => Err(wrong),
            Ok(value) => Ok(value),
        }
    })
}

/// Why the store did not answer.
enum Offline {
    /// Somebody has it open.
    Locked,
    /// What is wrong, in words.
    Refused(String),
}

impl From<AccessError> for Offline {
    fn from(error: AccessError) -> Self {
        Offline::Refused(error.to_string())
    }
}

async fn offline(ask: &Ask, settings: &Settings) -> Result<Value, Offline> {
    let path = &settings.store.path;
    if settings.store.kind != StoreKind::Embedded {
        let wrong =
            "store.kind = \"memory\" keeps nothing: ask the server while it runs, with --url";
        return Err(Offline::Refused(wrong.into()));
    }
    if !ask.begins() && !path.exists() {
        let wrong =
            format!("there is no store in {}; name its directory with --data", path.display());
        return Err(Offline::Refused(wrong));
    }
    let limits = StoreLimits { max_pending: settings.store.max_pending };
    let clock = Clock::system();
    let opened = EmbeddedStore::open(path, limits, settings.store.cache, clock.clone());
    let store: Arc<dyn Store> = opened.map_err(|error| match error {
        OpenError::Locked { .. } => Offline::Locked,
        other => Offline::Refused(other.to_string()),
    })?;
    let access = Access::new(store.clone(), None, clock, settings.auth.clone());
    let result = match access.open().await {
        Ok(()) => of_store(ask, &access).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = store.close().await {
        return Err(Offline::Refused(error.to_string()));
    }
    Ok(result?)
}

async fn of_store(ask: &Ask, access: &Access) -> Result<Value, AccessError> {
    let caller = Caller::command_line();
    Ok(match ask {
        Ask::CreateKey(new) => with_text(&access.create_key(&caller, new.clone()).await?),
        Ask::ListKeys => {
            // All of them: a server has a bounded number.
            let (keys, _) = access.list_keys(&caller, None, usize::MAX / 2)?;
            json!({ "data": keys, "next": null })
        }
        Ask::RevokeKey(id) => json!(access.revoke_key(&caller, id).await?),
        Ask::RotateKey { id, overlap } => {
            with_text(&access.rotate_key(&caller, id, overlap.as_deref()).await?)
        }
        Ask::Audit(limit) => {
            let page = access.audit_log(&caller, None, *limit).await?;
            let mut entries = json!(page.entries);
            for entry in entries.as_array_mut().into_iter().flatten() {
                let number = entry["workspace"].as_u64().and_then(|number| number.try_into().ok());
                entry["workspace"] = access.workspace_name(number.unwrap_or_default()).into();
            }
            json!({ "data": entries, "next": page.next })
        }
        Ask::CreateWorkspace(wanted) => {
            json!(access.create_workspace(&caller, wanted.clone()).await?)
        }
        Ask::ChangeWorkspace { name, change } => {
            json!(access.change_workspace(&caller, name, change.clone()).await?)
        }
        Ask::ListWorkspaces => {
            let (workspaces, _) = access.list_workspaces(None, usize::MAX / 2);
            json!({ "data": workspaces, "next": null })
        }
    })
}

fn with_text(shown: &Shown) -> Value {
    let mut value = json!(shown.view);
    value["key"] = shown.text.reveal().into();
    value
}

async fn online(ask: &Ask, reach: &Reach, settings: &Settings) -> Result<Value, Unanswered> {
    let url = reach.url.clone().unwrap_or_else(|| {
        let mut listen = settings.server.listen;
        if listen.ip().is_unspecified() {
            listen.set_ip([127, 0, 0, 1].into());
        }
        format!("http://{listen}")
    });
    let server = Server::new(&url, &reach.credentials).map_err(Unanswered::Absent)?;
    match ask {
        Ask::CreateKey(new) => server.call("POST", "/v1/keys", Some(json!(new))).await,
        Ask::ListKeys => server.all("/v1/keys").await,
        Ask::RevokeKey(id) => server.call("DELETE", &format!("/v1/keys/{}", part(id)), None).await,
        Ask::RotateKey { id, overlap } => {
            let path = format!("/v1/keys/{}/rotate", part(id));
            server.call("POST", &path, Some(json!({ "overlap": overlap }))).await
        }
        Ask::Audit(limit) => server.call("GET", &format!("/v1/audit?limit={limit}"), None).await,
        Ask::CreateWorkspace(wanted) => {
            server.call("POST", "/v1/workspaces", Some(json!(wanted))).await
        }
        Ask::ChangeWorkspace { name, change } => {
            let path = format!("/v1/workspaces/{}", part(name));
            server.call("PATCH", &path, Some(json!(change))).await
        }
        Ask::ListWorkspaces => server.all("/v1/workspaces").await,
    }
}
