//! `receipt verify | show | rotate-key`. A receipt is checked offline: no gateway is asked, and nothing is
//! believed but the keys that are given. A running gateway holds its receipts, so it is asked for one, and
//! told to change its key, through its admin API.

use clap::{Args, Subcommand};
use openapi::receipt::check::Given;
use openapi::receipt::{Claims, Fault, Key, Keys, Trial, Verified, check};
use openapi::sign::PublicKey;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::place::{self, Place};
use super::remote::{self, Remote};
use crate::clock::{Clock as _, System};
use crate::receipts::{self, Signer};
use crate::store::{self, ReceiptFile};

/// Check receipts, show one, and replace the key they are signed with.
#[derive(Debug, Args)]
pub struct Command {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check a receipt without asking anybody. Fails if anything does not fit, and says what.
    Verify(Verify),
    /// Print any receipt of a running gateway, as JSON.
    Show {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Have receipts signed with a new key from now on, whether the gateway runs or not.
    RotateKey,
}

#[derive(Debug, Args)]
struct Verify {
    /// The receipt; `-` reads standard input.
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    /// The request's body, byte by byte as it was sent.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// The answer's body, byte by byte as it came.
    #[arg(long, value_name = "FILE")]
    response: Option<PathBuf>,
    /// The gateway's keys: what `GET /v1/receipts/keys` answered when you trusted it, or a key a line.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error("the gateway of {} can't be asked: {cause}", data.display())]
    Remote { data: PathBuf, cause: remote::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Receipts(#[from] receipts::Error),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no keys: it is neither an answer of /v1/receipts/keys nor a key a line", .0.display())]
    NoKeys(PathBuf),
    #[error("the receipt does not hold: {0}")]
    DoesNotHold(Fault),
    #[error("cannot write the output")]
    Stdout(#[from] io::Error),
    #[error("cannot print the answer")]
    Json(#[from] serde_json::Error),
}

/// Runs the command to its end.
///
/// # Errors
/// What was asked for could not be done, or the receipt does not hold.
pub async fn run(command: Command) -> Result<(), Error> {
    match command.what {
        What::Verify(given) => verify(&given, &mut io::stdin().lock(), &mut io::stdout().lock()),
        What::Show { id } => {
            let (data, _) = command.place.open()?;
            let told = |cause| Error::Remote { data: data.clone(), cause };
            let remote = Remote::new(&data, command.place.admin.as_deref()).map_err(told)?;
            let receipt = remote.receipt(&id).await.map_err(told)?;
            Ok(writeln!(io::stdout().lock(), "{}", serde_json::to_string_pretty(&receipt)?)?)
        }
        What::RotateKey => {
            let key = rotate(&command.place).await?;
            Ok(writeln!(io::stdout().lock(), "{}", key.key)?)
        }
    }
}

async fn rotate(place: &Place) -> Result<Key, Error> {
    let (data, _) = place.open()?;
    match ReceiptFile::open(&data) {
        Ok(store) => {
            let now = System.unix_s();
            Ok(Signer::open(&data, &store, now)?.rotate(&store, now)?)
        }
        Err(store::Error::InUse { .. }) => {
            let told = |cause| Error::Remote { data: data.clone(), cause };
            let remote = Remote::new(&data, place.admin.as_deref()).map_err(told)?;
            remote.rotate_receipt_key().await.map_err(told)
        }
        Err(error) => Err(error.into()),
    }
}

fn verify(asked: &Verify, stdin: &mut impl io::Read, out: &mut impl Write) -> Result<(), Error> {
    let receipt = read(&asked.receipt, stdin)?;
    let request = asked.request.as_deref().map(|path| read(path, stdin)).transpose()?;
    let response = asked.response.as_deref().map(|path| read(path, stdin)).transpose()?;
    let keys = keys(&asked.keys, &read(&asked.keys, stdin)?)?;
    let given = Given { request: request.as_deref(), response: response.as_deref(), keys: &keys };
    let report = check(&receipt, &given).map_err(Error::DoesNotHold)?;
    tell(&report.claims, out)?;
    for Trial { part, result } in &report.trials {
        let said = match result {
            None => "nothing to compare with".to_owned(),
            Some(Ok(())) => "fits".to_owned(),
            Some(Err(fault)) => format!("DOES NOT FIT: {fault}"),
        };
        writeln!(out, "{:<24} {said}", part.name())?;
    }
    match report.fault() {
        Some(fault) => Err(Error::DoesNotHold(fault.clone())),
        None => Ok(writeln!(out, "the receipt holds")?),
    }
}

/// What it says, in a few lines.
fn tell(claims: &Claims, out: &mut impl Write) -> io::Result<()> {
    let provider = claims.provider.as_ref().map_or("nobody", |provider| provider.id.as_str());
    let verified = match claims.verified {
        Verified::Pending => "pending",
        Verified::Pass => "pass",
        Verified::Fail => "fail",
        Verified::None => "none",
    };
    writeln!(out, "receipt {} of request {}", claims.id, claims.request_id)?;
    writeln!(out, "{} by {provider}, verified: {verified}", claims.model)
}

fn read(path: &Path, stdin: &mut impl io::Read) -> Result<Vec<u8>, Error> {
    let unread = |source| Error::Read { path: path.to_owned(), source };
    if path != Path::new("-") {
        return std::fs::read(path).map_err(unread);
    }
    let mut bytes = Vec::new();
    stdin.read_to_end(&mut bytes).map_err(unread)?;
    Ok(bytes)
}

fn keys(path: &Path, bytes: &[u8]) -> Result<Vec<PublicKey>, Error> {
    if let Ok(Keys { data, .. }) = serde_json::from_slice(bytes) {
        return Ok(data.into_iter().map(|key| key.key).collect());
    }
    let text = String::from_utf8_lossy(bytes);
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<PublicKey>, _> = lines.map(str::parse).collect();
    keys.ok().filter(|keys| !keys.is_empty()).ok_or_else(|| Error::NoKeys(path.to_owned()))
}
