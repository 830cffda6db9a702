//! Self-signed certificates over an identity's own key: who pins the key needs no authority. Their
//! dates say nothing (1975 to 4096), since a key does not age.

use openapi::sign::{PublicKey, SecretKey};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// PKCS #8 (RFC 8410) of an ed25519 key up to its 32 bytes.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Of the outer sequence: its tag and length.
const SPKI_HEAD: [u8; 2] = [0x30, 0x2a];
/// SubjectPublicKeyInfo (RFC 8410) of an ed25519 key up to its 32 bytes, without the outer sequence's
/// head, which the reader of certificates may strip.
const SPKI_INNER: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A certificate and its key, as TLS wants them.
#[derive(Debug)]
pub struct Certificate {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no certificate can be made")]
    Make(#[from] rcgen::Error),
}

impl Certificate {
    /// Over `key`, for `names` (host names or addresses; nobody who pins the key looks at them).
    ///
    /// # Errors
    /// A name that fits into no certificate.
    pub fn self_signed(key: &SecretKey, names: &[String]) -> Result<Self, Error> {
        let pkcs8 = [PKCS8_HEAD.as_slice(), &key.seed()].concat();
        let der = PrivatePkcs8KeyDer::from(pkcs8);
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)?;
        let certificate = CertificateParams::new(names)?.self_signed(&pair)?;
        Ok(Self { chain: vec![certificate.der().clone()], key: der.into() })
    }
}

impl Clone for Certificate {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// The ed25519 key a certificate is over; `None` for another kind of key, or no certificate.
pub fn key_of(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let info = parsed.subject_public_key_info();
    // Nothing else before it: another kind of key may end in bytes that look like this one.
    let info: &[u8] = &info;
    let inner = info.strip_prefix(&SPKI_HEAD).unwrap_or(info);
    let key = inner.strip_prefix(&SPKI_INNER)?;
    Some(PublicKey::from_bytes(key.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_carries_its_key() {
        let key = SecretKey::from_seed(&[5; 32]);
        let certificate = Certificate::self_signed(&key, &["127.0.0.1".to_owned()]).unwrap();
        assert_eq!(key_of(&certificate.chain[0]), Some(key.public()));
        assert_eq!(key_of(&CertificateDer::from(vec![0; 40])), None);
        let other = KeyPair::generate().unwrap();
        let other = CertificateParams::new(Vec::new()).unwrap().self_signed(&other).unwrap();
        assert_eq!(key_of(other.der()), None, "not ed25519");
    }

    /// A key of another kind that ends as the certificate of `.0` would.
    struct Disguised(Vec<u8>);

    impl rcgen::PublicKeyData for Disguised {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }

        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_RSA_SHA256
        }
    }

    #[test]
    fn another_kind_of_key_that_ends_in_its_bytes_is_not_taken_for_it() {
        let victim = SecretKey::from_seed(&[5; 32]).public();
        let end = [[7; 200].as_slice(), &SPKI_INNER, victim.as_bytes()].concat();
        let signer = KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(CertificateParams::new(Vec::new()).unwrap(), signer);
        let params = CertificateParams::new(Vec::new()).unwrap();
        let forged = params.signed_by(&Disguised(end), &issuer).unwrap();
        assert_eq!(key_of(forged.der()), None);
    }
}
