//! From where relative paths count, and how a file that is named is looked for.

use std::{
    cell::RefCell,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use chartward_rules::source::{Spanned, Table};

/// The folder of the configuration file.
pub(super) struct Place<'a> {
    folder: &'a Path,
    named: RefCell<Vec<PathBuf>>,
}

impl<'a> Place<'a> {
    pub fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            named: RefCell::default(),
        }
    }

    /// The path as seen from the working directory.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The files that were looked for, there or not.
    pub fn named(&self) -> Vec<PathBuf> {
        self.named.take()
    }

    /// The path of a file that must be there and be readable; else an error.
    pub fn file(&self, table: &Table<'_>, path: &Spanned<String>) -> Option<Spanned<PathBuf>> {
        let found = self.resolve(path);
        self.named.borrow_mut().push(found.clone());
        match readable(&found) {
            Ok(()) => Some(Spanned::new(found, path.span)),
            Err(error) => {
                let message = format!("file `{}` can't be read: {}", path.value, said(&error));
                table.error(path.span, message);
                None
            }
        }
    }
}

/// An error of the system in words that don't depend on the platform's numbers.
pub(super) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        kind => kind.to_string(),
    }
}

fn readable(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}
