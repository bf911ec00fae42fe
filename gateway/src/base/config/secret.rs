//! Secrets: from files or from the environment, never shown.

use std::{
    env, fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chartward_rules::source::{Spanned, Table};

use super::place::{Place, said};

/// Bytes that are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads what a key names, `env:NAME` or a file; white space at the ends
    /// doesn't count, and nothing left is an error.
    pub(super) fn read(
        table: &Table<'_>,
        place: &Place<'_>,
        named: &Spanned<String>,
    ) -> Option<Self> {
        let found = match named.strip_prefix("env:") {
            Some(name) => match env::var_os(name) {
                Some(value) => value.into_encoded_bytes(),
                None => {
                    let message = format!("environment variable `{name}` is not set");
                    table.error(named.span, message);
                    return None;
                }
            },
            None => {
                let path = place.file(table, named)?;
                match fs::read(&*path) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        let message =
                            format!("file `{}` can't be read: {}", named.value, said(&error));
                        table.error(named.span, message);
                        return None;
                    }
                }
            }
        };
        let found = found.trim_ascii();
        if found.is_empty() {
            table.error(named.span, format!("`{}` holds nothing", named.value));
            return None;
        }
        Some(Self::new(found))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where the 32-byte key that seals page handles is kept, in base64url.
#[derive(Clone, Debug)]
pub enum Handles {
    /// A file, made on first start where it is absent.
    File(PathBuf),
    /// The key itself, from the environment.
    Given(Secret),
}

impl Handles {
    pub(super) fn read(
        table: &Table<'_>,
        place: &Place<'_>,
        named: &Spanned<String>,
    ) -> Option<Self> {
        let path = place.resolve(named);
        let from_environment = named.starts_with("env:");
        if !from_environment && !path.exists() {
            return Some(Self::File(path));
        }
        let secret = Secret::read(table, place, named)?;
        if decode(secret.expose()).is_none() {
            let message = format!("`{}` holds no key of 32 bytes in base64url", named.value);
            table.error(named.span, message);
            return None;
        }
        Some(if from_environment {
            Self::Given(secret)
        } else {
            Self::File(path)
        })
    }

    /// Whether it still is this key; a file that is gone doesn't tell.
    pub fn is(&self, key: &Secret) -> bool {
        let found = match self {
            Self::Given(secret) => decode(secret.expose()),
            Self::File(path) => match fs::read(path) {
                Ok(bytes) => decode(bytes.trim_ascii()),
                Err(_) => return true,
            },
        };
        found.as_ref() == Some(key)
    }

    /// The key; a file that is absent is made first, readable by its owner only.
    ///
    /// Fails where the file can't be read or made, or holds something else.
    pub fn open(&self) -> io::Result<Secret> {
        let path = match self {
            Self::Given(secret) => return decode(secret.expose()).ok_or_else(not_a_key),
            Self::File(path) => path,
        };
        match fs::read(path) {
            Ok(bytes) => decode(bytes.trim_ascii()).ok_or_else(not_a_key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
            Err(error) => Err(error),
        }
    }
}

fn make(path: &Path) -> io::Result<Secret> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut key = [0; 32];
    rand::fill(&mut key).map_err(|_| io::Error::other("no randomness"))?;
    // whole or not at all: a file cut short would stop every later start
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(URL_SAFE_NO_PAD.encode(key).as_bytes())?;
    file.sync_all()?;
    // a link, unlike a rename, never replaces the key of another that starts now
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    linked.map(|()| Secret::new(key))
}

fn decode(text: &[u8]) -> Option<Secret> {
    let key = URL_SAFE_NO_PAD.decode(text).ok()?;
    (key.len() == 32).then(|| Secret::new(key))
}

fn not_a_key() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "no key of 32 bytes in base64url",
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_handle_key_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/handles.key");
        let handles = Handles::File(path.clone());
        let first = handles.open().unwrap();
        assert_eq!(first.expose().len(), 32);
        assert_eq!(handles.open().unwrap(), first);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let files = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(files.count(), 1, "no draft stays");
        fs::write(&path, "short").unwrap();
        assert_eq!(
            handles.open().unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let handles = Handles::Given(secret);
        assert_eq!(format!("{handles:?}"), "Given(Secret(…))");
    }
}
