//! The provider's HTTP surface, over real sockets on loopback and, where time matters, a paused clock.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod client;
#[cfg(test)]
mod completions;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod evidence;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod process;
#[cfg(test)]
mod scorers;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod upstream;
