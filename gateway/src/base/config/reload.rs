//! `[reload]`, and what a reload can't change.

use std::time::Duration;

use chartward_rules::source::{Diagnostics, Span, Table, read};

use super::{Config, Handles, Secret};

/// When the files are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// How often their content is looked at; `None`: only SIGHUP makes a reload. Default 5 s.
    pub poll: Option<Duration>,
}

impl Reload {
    pub(super) fn read(mut t: Table<'_>) -> Self {
        let range = Duration::ZERO..=Duration::from_secs(3600);
        let poll = t.duration("poll", range);
        let poll = poll.map_or(Duration::from_secs(5), |found| found.value);
        Self {
            poll: (!poll.is_zero()).then_some(poll),
        }
    }
}

/// Keys whose change needs a restart, by table.
const RESTART_ONLY: [(&str, &[&str]); 5] = [
    ("listen", &["https", "metrics"]),
    ("server", &["workers"]),
    ("journal", &["directory", "durability"]),
    ("secrets", &["handles"]),
    ("log", &["level", "format"]),
];

impl Config {
    /// What of `next` can't take the place of this configuration without a restart, each at its
    /// key. `handles` is the key that page handles are sealed with.
    pub fn restart_only(&self, next: &Self, handles: &Secret) -> Diagnostics {
        let mut found = Diagnostics::new();
        for (table, keys) in RESTART_ONLY {
            for key in keys {
                let moved = *key == "handles" && !next.secrets.handles.is(handles);
                if self.kept(next, table, key) && !moved {
                    continue;
                }
                let message = format!("`{key}` of `[{table}]` can't change without a restart");
                found.error(&next.source, next.place_of(table, key), message);
            }
        }
        found
    }

    fn kept(&self, next: &Self, table: &str, key: &str) -> bool {
        match (table, key) {
            ("listen", "https") => self.listen.https == next.listen.https,
            ("listen", "metrics") => self.listen.metrics == next.listen.metrics,
            ("server", "workers") => self.server.workers == next.server.workers,
            ("journal", "directory") => self.journal.directory == next.journal.directory,
            ("journal", "durability") => self.journal.durability == next.journal.durability,
            ("secrets", "handles") => match (&self.secrets.handles, &next.secrets.handles) {
                (Handles::File(old), Handles::File(new)) => old == new,
                (Handles::Given(old), Handles::Given(new)) => old == new,
                _ => false,
            },
            ("log", "level") => self.log.level == next.log.level,
            ("log", "format") => self.log.format == next.log.format,
            _ => false,
        }
    }

    /// Where a key stands; where it is left out, its table; else the beginning.
    fn place_of(&self, table: &str, key: &str) -> Span {
        let table: &'static str = match RESTART_ONLY.iter().find(|(name, _)| *name == table) {
            Some((name, _)) => name,
            None => return Span::default(),
        };
        let outcome = read(&self.source, |root| {
            let found = root.table(table)?;
            Some(found.key_span(key).unwrap_or(found.span()))
        });
        outcome.value.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chartward_rules::source::Source;

    use super::*;

    fn config(text: &str, folder: &Path) -> Config {
        let text = format!(
            "{text}\n[tls]\ncertificate = \"x\"\nkey = \"x\"\n\
             [[service]]\nname = \"ehr\"\npath = \"/fhir\"\nupstream = \"http://127.0.0.1:1/fhir\"\npacks = [\"x\"]\n\
             [[issuer]]\nurl = \"https://idp.example\"\naudience = [\"a\"]\n"
        );
        let read = Config::read(&Source::new("c.toml", text), folder);
        read.into_result().unwrap()
    }

    #[test]
    fn every_key_that_needs_a_restart_is_named_at_its_place() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), "x").unwrap();
        let listen = "[listen]\nhttps = \"127.0.0.1:1\"\npublic_url = \"https://fhir.example\"";
        let before = config(listen, folder.path());
        let key = before.secrets.handles.open().unwrap();
        assert!(before.restart_only(&before, &key).is_empty());
        let other = Secret::new([7; 32]);
        let moved = before.restart_only(&before, &other);
        assert_eq!(moved.len(), 1, "{}", moved.render());
        let after = config(
            "[listen]\nhttps = \"127.0.0.1:2\"\nmetrics = \"127.0.0.1:3\"\npublic_url = \"https://other.example\"\n\
             [server]\nworkers = 2\n[journal]\ndirectory = \"j\"\ndurability = \"write\"\n\
             [secrets]\nhandles = \"other.key\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n",
            folder.path(),
        );
        let found = before.restart_only(&after, &key);
        let said: Vec<_> = found
            .iter()
            .map(|d| (d.position().0, d.message.split(' ').next().unwrap()))
            .collect();
        let wanted = [
            (2, "`https`"),
            (3, "`metrics`"),
            (6, "`workers`"),
            (8, "`directory`"),
            (9, "`durability`"),
            (11, "`handles`"),
            (13, "`level`"),
            (14, "`format`"),
        ];
        assert_eq!(said, wanted);
        // a key that is left out now has its table's place, or none
        assert_eq!(after.restart_only(&before, &key).len(), wanted.len());
    }
}
