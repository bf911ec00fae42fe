//! PEM files that the configuration names, read with an error at the key that names them.

use std::path::PathBuf;

use chartward_rules::source::{Span, Spanned};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};

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
