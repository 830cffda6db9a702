//! The mistral.rs engine with the bundled model: whole answers, through the seam an HTTP server uses.
#![cfg(feature = "mistralrs")]

#[cfg(test)]
mod answers;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod gguf;
#[cfg(test)]
mod grammars;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod score;
#[cfg(test)]
mod tools;
