//! `provider identity` and `provider delegate`: public keys for allow-lists, and the operator's word
//! for nodes on which its key does not lie. Secret keys are printed by nothing.

use super::Error;
use crate::clock::{Clock as _, System};
use crate::identity::{self, Identity};
use openapi::sign::PublicKey;
use std::io::{self, Write as _};
use std::path::PathBuf;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The provider's data folder.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The operator's key, where it is not the data folder's own.
    #[arg(long, value_name = "FILE")]
    operator_key: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Delegate {
    /// The operator's key.
    #[arg(long, value_name = "FILE")]
    operator_key: PathBuf,
    /// The node's public key, as `provider identity` prints it.
    node: PublicKey,
}

pub(super) fn print(args: &Args) -> Result<(), Error> {
    let folder = args.data.clone().map_or_else(identity::default_folder, Ok)?;
    let identity = Identity::read(&folder, args.operator_key.as_deref(), System.unix_millis())?;
    let mut out = io::stdout().lock();
    writeln!(out, "node     {}", identity.node.public())?;
    writeln!(out, "operator {}", identity.operator)?;
    Ok(())
}

pub(super) fn delegate(args: &Delegate) -> Result<(), Error> {
    let operator = ::identity::key::load(&args.operator_key)?;
    let signed = identity::delegate(&operator, args.node, System.unix_millis())?;
    writeln!(io::stdout().lock(), "{}", serde_json::to_string(&signed)?)?;
    Ok(())
}
