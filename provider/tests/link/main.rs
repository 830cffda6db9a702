//! The provider's side of joining, against a gateway written by hand: real sockets, real TLS.

#[cfg(test)]
mod commit;
#[cfg(test)]
mod direct;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod join;
#[cfg(test)]
mod life;
#[cfg(test)]
mod process;
#[cfg(test)]
mod score;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod toy;
#[cfg(test)]
mod trust;
#[cfg(test)]
mod tunnel;
