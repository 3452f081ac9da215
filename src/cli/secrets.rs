//! `hostline secrets`: stores, lists, rotates and deletes secrets of a running server, and seals
//! anew without one. A value comes from a file or from standard input, never from the command line,
//! where every user of the machine could read it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::output::{refuse, say};
use super::server::{Credentials, DEFAULT, Server, part};
use crate::app::open_store;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::vault::{Vault, key_id, new_key};

const EXAMPLES: &str = "\
Examples:
  hostline secrets create main --kind signing --applies-to '*.shop.example'
      Make a signing secret and show it once
  hostline secrets create crm --kind bearer --from token.txt --applies-to crm.example
  pass show crm | hostline secrets create crm --kind basic --username hooks --from -
  hostline secrets create bank --kind client_certificate --certificate chain.pem --key key.pem
  hostline secrets create api --kind oauth2 --token-url https://auth.example/token \\
      --client-id hostline --scope hooks --from secret.txt
  hostline secrets rotate main --overlap 48h
  hostline secrets new-key > /run/secrets/vault
  hostline --set vault.key_file=/run/secrets/vault secrets reseal

Exit codes: 0 done, 2 refused by the server, or the server cannot be reached.";

/// Bytes of a value; a bundle of authorities is the largest.
const VALUE_MAX: u64 = 64 << 10;

/// Flags of `secrets`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SecretsArgs {
    #[command(subcommand)]
    action: Action,
    /// The server that keeps them
    #[arg(long, global = true, value_name = "URL", env = "HOSTLINE_SERVER")]
    #[arg(default_value = DEFAULT, help_heading = "Server")]
    server: String,
    #[command(flatten)]
    credentials: Credentials,
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Store a secret
    Create(Box<CreateArgs>),
    /// List secrets, never their values
    List,
    /// Give a signing secret a successor; the old one signs beside it for a while
    Rotate(RotateArgs),
    /// End the overlap of a rotation now
    RevokeOld {
        /// Name of the secret
        name: String,
    },
    /// Delete a secret
    Delete {
        /// Name of the secret
        name: String,
    },
    /// Print a new key for vault.key, and its id on standard error
    NewKey,
    /// Seal all secrets with the present vault.key; the server must not run
    Reseal,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum KindArg {
    Signing,
    Bearer,
    Basic,
    Header,
    Oauth2,
    ClientCertificate,
    Ca,
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// What it is called; triggers name it in `secret_ref`
    name: String,
    /// What it is
    #[arg(long, value_enum)]
    kind: KindArg,
    /// File with the value (token, password, secret, certificates); - reads standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// A host, *.suffix or beginning of URLs where it applies by itself (repeatable)
    #[arg(long, value_name = "PLACE")]
    applies_to: Vec<String>,
    /// signing: v1 (HMAC) or v1a (ed25519)
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// basic: the user's name
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// header: which header, such as x-api-key
    #[arg(long, value_name = "NAME")]
    header: Option<String>,
    /// oauth2: where tokens come from
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// oauth2: who asks
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// oauth2: what is asked for
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// oauth2: for whom
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// oauth2: how the credentials are shown, basic or body
    #[arg(long, value_name = "HOW")]
    auth: Option<String>,
    /// client_certificate: file with the chain in PEM
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// client_certificate: file with the private key in PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct RotateArgs {
    /// Name of the secret
    name: String,
    /// How long the old one signs too [default: 24h]
    #[arg(long, value_name = "DURATION")]
    overlap: Option<String>,
    /// Rotate although the one before the last rotation still signs
    #[arg(long)]
    force: bool,
    /// File with the new secret; - reads standard input. Without it one is made
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl SecretsArgs {
    /// Whether it works on the store itself, with the settings of a server.
    pub fn is_offline(&self) -> bool {
        matches!(self.action, Action::Reseal)
    }
}

/// Asks the server.
pub fn run(args: &SecretsArgs) -> ExitCode {
    if let Action::NewKey = args.action {
        return print_key();
    }
    let ready = request(&args.action)
        .and_then(|ask| Ok((ask, Server::new(&args.server, &args.credentials)?)));
    let ((method, path, body), server) = match ready {
        Ok(ready) => ready,
        Err(wrong) => return refuse(&wrong),
    };
    let asked = actix_rt::System::new().block_on(async {
        match args.action {
            Action::List => list(&server, args.json).await,
            _ => match server.ask(method, &path, body).await {
                Ok(raw) if args.json => Ok(raw.trim_end().to_owned() + "\n"),
                Ok(raw) => Ok(describe(&raw)),
                Err(wrong) => Err(wrong.to_string()),
            },
        }
    });
    match asked {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(wrong) => refuse(&wrong),
    }
}

/// Seals anew what an old key sealed, in the store of the settings.
pub fn reseal(loaded: Loaded) -> ExitCode {
    let settings = loaded.settings;
    let clock = Clock::system();
    let done = actix_rt::System::new().block_on(async {
        let store = open_store(&settings, &clock).map_err(|error| error.to_string())?;
        let vault = Vault::new(store.clone(), &settings, clock);
        vault.open().await.map_err(|error| error.to_string())?;
        let resealed = vault.reseal().await.map_err(|error| error.to_string())?;
        store.close().await.map_err(|error| error.to_string())?;
        Ok::<_, String>(resealed)
    });
    match done {
        Ok(count) => {
            say(&format!("{count} secrets sealed anew\n"));
            ExitCode::SUCCESS
        }
        Err(wrong) => refuse(&wrong),
    }
}

fn print_key() -> ExitCode {
    match new_key() {
        Ok(key) => {
            say(&format!("{}\n", *key.reveal()));
            eprintln!("key id {}", key_id(&key));
            ExitCode::SUCCESS
        }
        Err(wrong) => refuse(&wrong.to_string()),
    }
}

/// Method, path and body of what is asked.
fn request(action: &Action) -> Result<(&'static str, String, Option<String>), String> {
    let path = |name: &str, rest: &str| format!("/v1/secrets/{}{rest}", part(name));
    Ok(match action {
        Action::Create(args) => ("POST", "/v1/secrets".into(), Some(document(args)?)),
        Action::Rotate(args) => {
            let mut body = Map::new();
            put(&mut body, "overlap", args.overlap.clone());
            put(&mut body, "value", args.from.as_deref().map(read_text).transpose()?);
            body.insert("force".into(), args.force.into());
            ("POST", path(&args.name, "/rotate"), Some(Value::Object(body).to_string()))
        }
        Action::RevokeOld { name } => ("POST", path(name, "/revoke-old"), None),
        Action::Delete { name } => ("DELETE", path(name, ""), None),
        Action::List | Action::NewKey | Action::Reseal => ("GET", "/v1/secrets".into(), None),
    })
}

fn document(args: &CreateArgs) -> Result<String, String> {
    let (kind, value) = match args.kind {
        KindArg::Signing => ("signing", "value"),
        KindArg::Bearer => ("bearer", "token"),
        KindArg::Basic => ("basic", "password"),
        KindArg::Header => ("header", "value"),
        KindArg::Oauth2 => ("oauth2", "client_secret"),
        KindArg::ClientCertificate => ("client_certificate", ""),
        KindArg::Ca => ("ca", "certificates"),
    };
    let mut body = Map::new();
    body.insert("name".into(), args.name.as_str().into());
    body.insert("kind".into(), kind.into());
    body.insert("applies_to".into(), args.applies_to.clone().into());
    for (field, text) in [
        ("algorithm", &args.algorithm),
        ("username", &args.username),
        ("header", &args.header),
        ("token_url", &args.token_url),
        ("client_id", &args.client_id),
        ("scope", &args.scope),
        ("audience", &args.audience),
        ("auth", &args.auth),
    ] {
        put(&mut body, field, text.clone());
    }
    put(&mut body, "certificate", args.certificate.as_deref().map(read_text).transpose()?);
    put(&mut body, "key", args.key.as_deref().map(read_text).transpose()?);
    match (&args.from, value) {
        (Some(_), "") => {
            return Err(
                "--from belongs to no client certificate; give --certificate and --key".into()
            );
        }
        (Some(path), field) => put(&mut body, field, Some(read_text(path)?)),
        (None, "" | "value") => {}
        (None, _) => return Err("the value is missing; give --from FILE, or --from -".into()),
    }
    Ok(Value::Object(body).to_string())
}

fn put(body: &mut Map<String, Value>, field: &str, text: Option<String>) {
    if let Some(text) = text {
        body.insert(field.into(), text.into());
    }
}

/// Reads a value, without the line break that editors leave at its end.
fn read_text(path: &Path) -> Result<String, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = Zeroizing::new(String::new());
    let read = match path == Path::new("-") {
        true => std::io::stdin().lock().take(VALUE_MAX + 1).read_to_string(&mut text),
        false => {
            std::fs::File::open(path).map_err(wrong)?.take(VALUE_MAX + 1).read_to_string(&mut text)
        }
    };
    if read.map_err(wrong)? as u64 > VALUE_MAX {
        return Err(format!("{}: has more than {VALUE_MAX} bytes", path.display()));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

async fn list(server: &Server, as_json: bool) -> Result<String, String> {
    let list = server.all("/v1/secrets").await?;
    if as_json {
        return Ok(format!("{list:#}\n"));
    }
    let lines: Vec<String> = list["data"].as_array().into_iter().flatten().map(line).collect();
    match lines.is_empty() {
        true => Ok("no secrets are stored\n".into()),
        false => Ok(lines.concat()),
    }
}

fn line(secret: &Value) -> String {
    let word = |field: &str| secret[field].as_str().unwrap_or("-").to_owned();
    let places = secret["applies_to"].as_array().into_iter().flatten();
    let places: Vec<_> = places.filter_map(Value::as_str).collect();
    let mut line = format!(
        "{:<24} {:<18} {} {}",
        word("name"),
        word("kind"),
        word("created_at"),
        if places.is_empty() { "-".to_owned() } else { places.join(" ") }
    );
    for field in ["public_key", "old_signs_until"] {
        if let Some(text) = secret[field].as_str() {
            line += &format!(" {field}={text}");
        }
    }
    line.push('\n');
    line
}

/// A changed secret; what is shown once stands on a line of its own.
fn describe(raw: &str) -> String {
    let secret: Value = serde_json::from_str(raw).unwrap_or_else(|_| json!({}));
    if secret["deleted"] == true {
        return format!("{} deleted\n", secret["name"].as_str().unwrap_or("secret"));
    }
    let mut text = line(&secret);
    if let Some(value) = secret["value"].as_str() {
        text += &format!("shown this once, for the receiver:\n{value}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SecretsArgs,
    }

    fn asked(line: &[&str]) -> Result<(&'static str, String, Value), String> {
        let line = ["secrets"].iter().chain(line);
        let args = Line::try_parse_from(line).map_err(|error| error.to_string())?.args;
        let (method, path, body) = request(&args.action)?;
        let body = body.map_or(Value::Null, |body| serde_json::from_str(&body).expect("JSON"));
        Ok((method, path, body))
    }

    #[test]
    fn flags_become_the_document_of_the_kind() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("value");
        std::fs::write(&file, "s3cret\n").expect("written");
        let from = file.to_str().expect("text");
        let line = ["create", "crm", "--kind", "basic", "--username", "me", "--from", from];
        let body = json!({"name": "crm", "kind": "basic", "applies_to": [], "username": "me",
                          "password": "s3cret"});
        assert_eq!(asked(&line), Ok(("POST", "/v1/secrets".into(), body)));
        let rotate = ["rotate", "a b", "--overlap", "1h", "--force"];
        let body = json!({"overlap": "1h", "force": true});
        assert_eq!(asked(&rotate), Ok(("POST", "/v1/secrets/a%20b/rotate".into(), body)));
        assert!(
            asked(&["create", "crm", "--kind", "bearer"]).is_err_and(|why| why.contains("--from"))
        );
        assert!(asked(&["create", "crm", "--kind", "signing"]).is_ok());
        assert!(asked(&["create", "crm", "--kind", "bearer", "--token", "x"]).is_err());
    }
}
