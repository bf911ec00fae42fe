//! PEM files that the configuration names, read with an error at the key that names them.

use std::path::PathBuf;

use chartward_rules::source::{Span, Spanned};
use rustls::{RootCertStore, crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::base::config::Secret;

/// All certificates of a file, at least one; else what is wrong is said.
pub(super) fn certificates(
    path: &Spanned<PathBuf>,
    key: &str,
    say: &mut impl FnMut(Span, String),
) -> Option<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(&path.value);
    match read.and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(found) if !found.is_empty() => Some(found),
        _ => {
            say(path.span, format!("`{key}` holds no certificate in PEM"));
            None
        }
    }
}

/// The roots in a file; else what is wrong is said.
pub(super) fn roots(
    path: &Spanned<PathBuf>,
    key: &str,
    say: &mut impl FnMut(Span, String),
) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, key, say)? {
        if roots.add(certificate).is_err() {
            say(
                path.span,
                format!("`{key}` holds a certificate that can't be a root"),
            );
            return None;
        }
    }
    Some(roots)
}

/// A certificate with its private key; else what is wrong is said.
pub(super) fn identity(
    certificate: &Spanned<PathBuf>,
    key: &Spanned<Secret>,
    provider: &CryptoProvider,
    say: &mut impl FnMut(Span, String),
) -> Option<CertifiedKey> {
    let chain = certificates(certificate, "certificate", say);
    let loaded = match PrivateKeyDer::from_pem_slice(key.expose()) {
        Ok(key) => provider.key_provider.load_private_key(key).ok(),
        Err(_) => None,
    };
    if loaded.is_none() {
        say(
            key.span,
            "`key` holds no private key that can be used, in PEM".to_owned(),
        );
    }
    let identity = CertifiedKey::new(chain?, loaded?);
    match identity.keys_match() {
        Ok(()) => Some(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            say(key.span, "`key` is not the key of `certificate`".to_owned());
            None
        }
        Err(_) => {
            let message = "`certificate` begins with a certificate that can't be read";
            say(certificate.span, message.to_owned());
            None
        }
    }
}
