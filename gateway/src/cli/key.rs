//! `key create | list | revoke`: keys of a gateway, whether it runs or not. A running gateway holds the
//! store, so it is asked through its admin API, and what is done counts at once; otherwise the store
//! in the data folder is opened directly.

mod show;

use clap::{Args, Subcommand};
use openapi::keys::{Key, KeyList, KeyRequest};
use secrecy::{ExposeSecret as _, SecretString};
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::auth::{Draft, mint, show_id, wrong_name};
use crate::clock::{Clock as _, System};
use crate::config::{Limits, Settings};
use crate::http::admin::keys::of_record;
use crate::store::{self, Keys as _};

use super::place::{self, Place};
use super::remote::{self, Remote};

/// Keys of one page.
const PAGE: usize = 1000;

/// Make, list and revoke keys.
#[derive(Debug, Args)]
pub struct Command {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a key, and print it: this once, on standard output.
    Create(Box<Create>),
    /// List the keys, without the keys themselves.
    List {
        /// As the admin API's JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key. It is refused from then on.
    Revoke {
        #[arg(value_name = "NAME_OR_ID")]
        key: String,
    },
}

#[derive(Debug, Args)]
struct Create {
    /// Unique; shown in logs in place of the key.
    #[arg(long)]
    name: String,
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
    /// Prompt and answer together.
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// Streamed answers at the same time.
    #[arg(long, value_name = "N")]
    concurrent_streams: Option<u64>,
    /// The most a request may ask for as `n`.
    #[arg(long, value_name = "N")]
    choices_max: Option<u64>,
    /// Further providers that one request may have asked because the first is late; 0 for none.
    #[arg(long, value_name = "N")]
    hedges_max: Option<u64>,
    /// Providers that may answer one request, so that their answers are compared; default 5.
    #[arg(long, value_name = "N")]
    quorum_max: Option<u64>,
    /// How its answers are verified where requests do not say: `quorum; k=2; n=3`.
    #[arg(long, value_name = "MODE; K; N")]
    verification: Option<String>,
    /// Models it may use; a name that ends in `*` stands for all that begin so.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Regions whose providers it may use.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    regions: Option<Vec<String>>,
    /// Providers it may use, by id or operator.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    providers: Option<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("a gateway has {} open, and {cause}", data.display())]
    Remote { data: PathBuf, cause: remote::Error },
    #[error("{0}")]
    Wrong(String),
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("cannot write the output")]
    Stdout(#[from] io::Error),
    #[error("cannot print the list")]
    Json(#[from] serde_json::Error),
}

/// Runs the command to its end.
///
/// # Errors
/// What was asked for could not be done; then nothing was.
pub async fn run(command: Command) -> Result<(), Error> {
    let keys = Keys::open(&command.place)?;
    match command.what {
        What::Create(create) => {
            let (key, secret) = keys.create(create.into_request()).await?;
            let id = key.id.unwrap_or_default();
            writeln!(io::stderr().lock(), "made key {} ({id}); it is shown this once:", key.name)?;
            writeln!(io::stdout().lock(), "{}", secret.expose_secret())?;
        }
        What::List { json } => {
            let list = keys.list().await?;
            let mut out = io::stdout().lock();
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?,
                false => write!(out, "{}", show::Table(&list.data))?,
            }
        }
        What::Revoke { key } => {
            let (id, name) = keys.revoke(&key).await?;
            writeln!(io::stdout().lock(), "revoked key {name} ({id})")?;
        }
    }
    Ok(())
}

/// The keys, by one of the two ways.
enum Keys {
    Direct { store: store::File, settings: Option<Box<Settings>> },
    Remote { remote: Remote, data: PathBuf },
}

// === impl Keys ===

impl Keys {
    fn open(place: &Place) -> Result<Self, Error> {
        let (data, settings) = place.open()?;
        match store::File::open(&data) {
            Ok(store) => Ok(Self::Direct { store, settings }),
            Err(store::Error::InUse { .. }) => match Remote::new(&data, place.admin.as_deref()) {
                Ok(remote) => Ok(Self::Remote { remote, data }),
                Err(cause) => Err(Error::Remote { data, cause }),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self, request: KeyRequest) -> Result<(Key, SecretString), Error> {
        match self {
            Self::Direct { store, settings } => create(store, settings.as_deref(), request),
            Self::Remote { remote, data } => {
                let made = remote.create(&request).await;
                let made = made.map_err(|cause| Error::Remote { data: data.clone(), cause })?;
                Ok((made.key, SecretString::from(made.secret)))
            }
        }
    }

    /// All of them, page by page.
    async fn list(&self) -> Result<KeyList, Error> {
        let mut all: Vec<Key> = Vec::new();
        let mut after = None;
        loop {
            let (page, has_more) = match self {
                Self::Direct { store, .. } => {
                    let after = after.as_deref().and_then(crate::auth::read_id);
                    let page = store.list(after, PAGE)?;
                    let has_more = page.len() == PAGE;
                    (page.into_iter().map(of_record).collect(), has_more)
                }
                Self::Remote { remote, data } => {
                    let page = remote.list(after.as_deref(), PAGE).await;
                    let page = page.map_err(|cause| Error::Remote { data: data.clone(), cause })?;
                    (page.data, page.has_more)
                }
            };
            all.extend(page);
            after = all.last().and_then(|key| key.id.clone());
            if !has_more || after.is_none() {
                return Ok(KeyList { object: "list".to_owned(), data: all, has_more: false });
            }
        }
    }

    /// Its id and name.
    async fn revoke(&self, id_or_name: &str) -> Result<(String, String), Error> {
        match self {
            Self::Direct { store, .. } => {
                let record = store.remove(id_or_name)?;
                Ok((show_id(record.id), record.name))
            }
            Self::Remote { remote, data } => {
                let revoked = remote.revoke(id_or_name).await;
                let revoked =
                    revoked.map_err(|cause| Error::Remote { data: data.clone(), cause })?;
                Ok((revoked.id, revoked.name))
            }
        }
    }
}

fn create(
    store: &store::File,
    settings: Option<&Settings>,
    request: KeyRequest,
) -> Result<(Key, SecretString), Error> {
    let name = request.name.clone().unwrap_or_default();
    let mut faults: Vec<String> =
        wrong_name(&name).map(|what| format!("name: {what}")).into_iter().collect();
    let draft = Draft::from(request);
    let (rules, scope) = draft.check(&mut |member, what| faults.push(format!("{member}: {what}")));
    if settings.is_some_and(|settings| settings.keys.iter().any(|key| key.name == name)) {
        faults.push(format!("name: {name:?} is a key of the configuration"));
    }
    if !faults.is_empty() {
        return Err(Error::Wrong(faults.join("\n")));
    }
    let keys_max = settings.map_or(Limits::default().stored_keys, |s| s.limits.stored_keys);
    let minted = mint(name, rules, scope, System.unix_ms())?;
    store.insert(std::slice::from_ref(&minted.record), keys_max)?;
    Ok((of_record(minted.record), minted.key))
}

// === impl Create ===

impl Create {
    fn into_request(self) -> KeyRequest {
        KeyRequest {
            name: Some(self.name),
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            concurrent_streams: self.concurrent_streams,
            choices_max: self.choices_max,
            hedges_max: self.hedges_max,
            quorum_max: self.quorum_max,
            verification: self.verification,
            models: self.models,
            regions: self.regions,
            providers: self.providers,
        }
    }
}
