//! The HTTP surface: one file per endpoint family, and [`error`], the only place where a failure
//! becomes a response.

pub mod error;
pub mod models;
