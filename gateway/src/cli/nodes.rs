//! `nodes list | show | eject | readmit | drain`: who has joined a running gateway, asked through its
//! admin API. What is known of nodes is in the gateway's memory, so there is no other way.

mod show;

use clap::{Args, Subcommand};
use openapi::nodes::{NodeChanged, NodeList};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::place::{self, Place};
use super::remote::{self, Remote};

/// Nodes of one page.
const PAGE: usize = 1000;

/// List the nodes that joined a running gateway, look at one, send it away or let it come back.
#[derive(Debug, Args)]
pub struct Command {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the nodes that are joined, and those that were sent away.
    List {
        /// As the admin API's JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of a node, evidence included, as JSON.
    Show {
        /// Its key, or the name it sells under.
        #[arg(value_name = "NAME_OR_KEY")]
        node: String,
    },
    /// Send a node away, now and whenever it comes back. What its tunnel carries is cut.
    Eject {
        #[arg(value_name = "NAME_OR_KEY")]
        node: String,
        /// Told to the node.
        #[arg(long)]
        reason: String,
    },
    /// Let a node come back that was sent away, or whose region was refuted.
    Readmit {
        #[arg(value_name = "KEY")]
        node: String,
    },
    /// Send no new requests to a node; its membership ends when those that run had their time.
    Drain {
        #[arg(value_name = "NAME_OR_KEY")]
        node: String,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Place(#[from] place::Error),
    #[error("the gateway of {} can't be asked: {cause}", data.display())]
    Remote { data: PathBuf, cause: remote::Error },
    #[error("cannot write the output")]
    Stdout(#[from] io::Error),
    #[error("cannot print the answer")]
    Json(#[from] serde_json::Error),
}

/// Runs the command to its end.
///
/// # Errors
/// What was asked for could not be done; then nothing was.
pub async fn run(command: Command) -> Result<(), Error> {
    let (data, _) = command.place.open()?;
    let told = |cause| Error::Remote { data: data.clone(), cause };
    let remote = Remote::new(&data, command.place.admin.as_deref()).map_err(told)?;
    let mut out = io::stdout().lock();
    match command.what {
        What::List { json } => {
            let list = all(&remote).await.map_err(told)?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&list)?)?,
                false => write!(out, "{}", show::Table(&list))?,
            }
        }
        What::Show { node } => {
            let detail = remote.node(&node).await.map_err(told)?;
            writeln!(out, "{}", serde_json::to_string_pretty(&detail)?)?;
        }
        What::Eject { node, reason } => {
            let changed = remote.eject(&node, reason).await.map_err(told)?;
            writeln!(out, "sent away: {}", named(&changed))?;
        }
        What::Readmit { node } => {
            let changed = remote.readmit(&node).await.map_err(told)?;
            writeln!(out, "may come back: {}", named(&changed))?;
        }
        What::Drain { node } => {
            let changed = remote.drain(&node).await.map_err(told)?;
            writeln!(out, "gets nothing new: {}", named(&changed))?;
        }
    }
    Ok(())
}

/// Page by page.
async fn all(remote: &Remote) -> Result<NodeList, remote::Error> {
    let mut list = remote.nodes(None, PAGE).await?;
    while list.has_more {
        let Some(after) = list.data.last().map(|node| node.id.clone()) else { break };
        let page = remote.nodes(Some(&after), PAGE).await?;
        list.has_more = page.has_more && !page.data.is_empty();
        list.data.extend(page.data);
    }
    Ok(list)
}

fn named(changed: &NodeChanged) -> String {
    match &changed.provider {
        Some(provider) => format!("{provider} ({})", changed.id),
        None => changed.id.clone(),
    }
}
