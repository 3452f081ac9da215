//! `hostline serve`: its flags, each a short way to one setting.

use std::path::PathBuf;

use clap::Args;

use super::named_flag;
use crate::config::Flag;

/// Flags of `serve`.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// Address and port to listen on (server.listen, default 127.0.0.1:8080)
    #[arg(long, value_name = "ADDRESS", help_heading = "Server")]
    pub listen: Option<String>,
    /// Directory that keeps the deliveries (store.path, default ./data)
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub data: Option<PathBuf>,
    /// Threads that deliver (actors.shards, default: cores)
    #[arg(long, value_name = "N", help_heading = "Server")]
    pub shards: Option<String>,
}

impl ServeArgs {
    /// These, and those of `other` where these say nothing.
    pub fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data: self.data.or(other.data),
            shards: self.shards.or(other.shards),
        }
    }

    /// The settings that they stand for.
    pub fn flags(&self) -> Vec<Flag> {
        let data = self.data.as_ref().map(|path| path.to_string_lossy());
        let flags = [
            ("--listen", "server.listen", self.listen.as_deref()),
            ("--data", "store.path", data.as_deref()),
            ("--shards", "actors.shards", self.shards.as_deref()),
        ];
        let set = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?)));
        set.map(|(flag, key, value)| named_flag(flag, key, value)).collect()
    }
}
