//! Who a node, an operator or a gateway is: ed25519 keys kept in files, certificates made over them,
//! and TLS configurations that know a peer by its key and not by a certificate authority. Shared by
//! the gateway and the provider. It opens no connection and knows no protocol above TLS.

pub mod certificate;
pub mod key;
pub mod tls;

pub use certificate::Certificate;
pub use openapi::sign::{PublicKey, SecretKey};
