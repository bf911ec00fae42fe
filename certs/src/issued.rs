//! An issued certificate with its key: thumbprints and files.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;

use crate::Error;

/// A certificate, its private key, and what names it.
#[derive(Clone)]
pub struct Issued {
    /// PEM of what a TLS peer presents: the leaf. The authority signs leaves itself, so nothing stands between.
    pub cert_pem: String,
    /// PEM (PKCS #8) of the private key.
    pub key_pem: String,
    /// DER of the leaf.
    pub cert_der: CertificateDer<'static>,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
}

impl Issued {
    /// SHA-256 of the certificate's DER.
    pub fn sha256(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, &self.cert_der).as_ref());
        out
    }

    /// The thumbprint in lower-case hexadecimal, as a configuration names a certificate.
    pub fn sha256_hex(&self) -> String {
        self.sha256()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The thumbprint as `cnf."x5t#S256"` holds it (RFC 8705 §3.1): base64url without padding.
    pub fn x5t_s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.sha256())
    }

    /// Writes `stem.pem` and `stem.key` into `dir`, made where it is missing; the key is readable by its owner only.
    pub fn write(&self, dir: impl AsRef<Path>, stem: &str) -> Result<(), Error> {
        write_pair(dir.as_ref(), stem, &self.cert_pem, &self.key_pem)
    }
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("sha256", &self.sha256_hex())
            .finish_non_exhaustive()
    }
}

/// Writes a certificate and its key as `stem.pem` and `stem.key`.
pub(crate) fn write_pair(
    dir: &Path,
    stem: &str,
    cert_pem: &str,
    key_pem: &str,
) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = PathBuf::from(path);
        |source| Error::Write { path, source }
    };
    std::fs::create_dir_all(dir).map_err(failed(dir))?;
    let cert = dir.join(format!("{stem}.pem"));
    std::fs::write(&cert, cert_pem).map_err(failed(&cert))?;
    let key = dir.join(format!("{stem}.key"));
    write_private(&key, key_pem).map_err(failed(&key))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    // `mode` counts for a new file only: narrow an old one before it holds the key.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}
