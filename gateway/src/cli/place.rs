//! Which gateway a command is about: the options that say where its data folder and its admin API are.

use clap::Args;
use std::path::PathBuf;

use crate::config::{self, Settings};

/// The ids are its own: `up` has options of the same names beside these commands.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The gateway's configuration, which names its data folder.
    #[arg(
        id = "place_config",
        long = "config",
        short,
        value_name = "FILE",
        env = "QUORATE_CONFIG",
        global = true
    )]
    config: Option<PathBuf>,
    /// The gateway's data folder [default: the configuration's, or the one of `up`].
    #[arg(id = "place_data", long = "data", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Where the running gateway's admin API is [default: what the gateway left in the data folder].
    #[arg(id = "place_admin", long = "admin", value_name = "URL", global = true)]
    pub(super) admin: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of faults is part of the message, one a line.
    #[error("{}:\n{fault}", file.display())]
    Config { file: PathBuf, fault: config::Error },
    #[error("which data folder? Neither XDG_DATA_HOME nor HOME is set: name it with --data")]
    NoData,
}

impl Place {
    /// The data folder, and the settings where a configuration is named.
    pub(super) fn open(&self) -> Result<(PathBuf, Option<Box<Settings>>), Error> {
        let settings = match &self.config {
            None => None,
            Some(file) => match config::load(file) {
                Ok(settings) => Some(Box::new(settings)),
                Err(fault) => return Err(Error::Config { file: file.clone(), fault }),
            },
        };
        let configured = settings.as_ref().map(|settings| settings.server.data_dir.clone());
        let default = || config::default_data_dir(&|name| std::env::var(name).ok());
        let data = self.data.clone().or(configured).or_else(default).ok_or(Error::NoData)?;
        Ok((data, settings))
    }
}
