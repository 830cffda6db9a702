//! What clients keep of answers: real gateways before scripted providers, and receipts checked with nothing
//! but what a client has.

#[cfg(test)]
mod harness;

#[cfg(test)]
mod answers;
#[cfg(test)]
mod command;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod writing;
