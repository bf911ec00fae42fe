//! A TOML table that knows which of its keys were asked for.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{Reader, Source, Span, Spanned, nearest, quantity};

type Value<'r> = toml::Spanned<DeValue<'r>>;

/// A list of strings: where it stands, and where each of them does.
pub type Words = Spanned<Vec<Spanned<String>>>;

/// A key of the user's choice and its value.
pub type Named<T> = (Spanned<String>, T);

/// A table being read.
///
/// Each accessor marks its key as known; a key of the wrong kind or out of range
/// is reported and reads as absent. When the table is dropped, every key that was
/// not asked for is reported as unknown: ask for all of them before leaving.
pub struct Table<'r> {
    reader: &'r Reader,
    entries: Option<&'r DeTable<'r>>,
    /// Dotted path for the schema, empty at the root.
    path: String,
    span: Span,
    known: Vec<&'static str>,
    not_enforced: Vec<&'static str>,
    open: bool,
}

impl<'r> Table<'r> {
    pub(super) fn root(reader: &'r Reader, entries: &'r DeTable<'r>) -> Self {
        Self::new(reader, Some(entries), String::new(), Span::default())
    }

    fn new(reader: &'r Reader, entries: Option<&'r DeTable<'r>>, path: String, span: Span) -> Self {
        let table = Self {
            reader,
            entries,
            path,
            span,
            known: Vec::new(),
            not_enforced: Vec::new(),
            open: false,
        };
        let mut schema = reader.schema.borrow_mut();
        for key in entries.into_iter().flat_map(|entries| entries.keys()) {
            schema.present.insert(table.dotted(key.get_ref()));
        }
        drop(schema);
        table
    }

    /// Where the table stands: its header, or its braces; empty at the root.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The text being read.
    pub fn source(&self) -> &'r Source {
        &self.reader.source
    }

    /// Whether the key is there, of whatever kind. Doesn't make it known.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where the key's name stands, if it is there. Doesn't make it known.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entry(key).map(|(span, _)| span)
    }

    /// Reports an error.
    pub fn error(&self, span: Span, message: impl Into<String>) {
        self.reader.error(span, message.into(), None);
    }

    /// Reports an error and what to do about it.
    pub fn error_with_help(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.reader.error(span, message.into(), Some(help.into()));
    }

    /// Declares keys of the design that this version doesn't enforce: each that
    /// is there is an error.
    pub fn not_enforced(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.not_enforced.push(key);
            if let Some((span, _)) = self.entry(key) {
                let message = format!("`{key}` is not enforced by this version; remove it");
                self.error(span, message);
            }
        }
    }

    /// A string that isn't empty.
    pub fn str(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let value = self.take(key)?;
        self.string_of(key, value)
    }

    /// A string that must be there and not be empty.
    pub fn required_str(&mut self, key: &'static str) -> Option<Spanned<String>> {
        self.require(key);
        self.str(key)
    }

    /// `true` or `false`.
    pub fn bool(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Boolean(found) => Some(Spanned::new(*found, value.span())),
            _ => self.wrong_kind(key, "true or false", value),
        }
    }

    /// A whole number within `range`.
    pub fn integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<Spanned<i64>> {
        let value = self.take(key)?;
        let DeValue::Integer(found) = value.get_ref() else {
            return self.wrong_kind(key, "an integer", value);
        };
        let number = i64::from_str_radix(found.as_str(), found.radix()).ok();
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(Spanned::new(number, value.span())),
            None => self.out_of_range(key, range.start(), range.end(), value.span().into()),
        }
    }

    /// A duration such as `10ms`, `60s`, `15m`, `2h`, `30d`, within `range`.
    pub fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Spanned<Duration>> {
        let text = self.str(key)?;
        let Some(found) = quantity::duration(&text) else {
            let help = "a whole number and one of `ms`, `s`, `m`, `h`, `d`, such as `\"60s\"`";
            self.error_with_help(text.span, format!("`{key}` must be a duration"), help);
            return None;
        };
        if !range.contains(&found) {
            let show = |bound: &Duration| quantity::show_duration(*bound);
            let (least, most) = (show(range.start()), show(range.end()));
            return self.out_of_range(key, &least, &most, text.span);
        }
        Some(text.map(|_| found))
    }

    /// A size such as `512B`, `8KiB`, `4MiB`, `1GiB`, in bytes, within `range`.
    pub fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<Spanned<u64>> {
        let text = self.str(key)?;
        let Some(found) = quantity::size(&text) else {
            let help = "a whole number and one of `B`, `KiB`, `MiB`, `GiB`, such as `\"4MiB\"`";
            self.error_with_help(text.span, format!("`{key}` must be a size"), help);
            return None;
        };
        if !range.contains(&found) {
            let show = |bound: &u64| quantity::show_size(*bound);
            let (least, most) = (show(range.start()), show(range.end()));
            return self.out_of_range(key, &least, &most, text.span);
        }
        Some(text.map(|_| found))
    }

    /// One of some words, and what it stands for.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        let text = self.str(key)?;
        if let Some((_, meant)) = choices.iter().find(|(word, _)| *word == *text) {
            return Some(text.map(|_| *meant));
        }
        let words: Vec<_> = choices
            .iter()
            .map(|(word, _)| format!("`{word}`"))
            .collect();
        let message = format!("`{key}` must be one of {}", words.join(", "));
        match nearest(&text, choices.iter().map(|(word, _)| *word)) {
            Some(word) => self.error_with_help(text.span, message, did_you_mean(word)),
            None => self.error(text.span, message),
        }
        None
    }

    /// A list of strings, none of them empty. The list itself may be empty.
    pub fn strings(&mut self, key: &'static str) -> Option<Words> {
        let value = self.take(key)?;
        match value.get_ref() {
            DeValue::Array(_) => self.list_of(key, value),
            _ => self.wrong_kind(key, "a list of strings", value),
        }
    }

    /// A list of strings that must be there and hold at least one.
    pub fn required_strings(&mut self, key: &'static str) -> Option<Words> {
        self.require(key);
        let found = self.strings(key)?;
        self.not_empty(key, found)
    }

    /// A string, or a list of at least one; read as a list.
    pub fn string_or_list(&mut self, key: &'static str) -> Option<Words> {
        let value = self.take(key)?;
        let found = match value.get_ref() {
            DeValue::Array(_) => self.list_of(key, value),
            DeValue::String(_) => self
                .string_of(key, value)
                .map(|one| Spanned::new(vec![one], value.span())),
            _ => self.wrong_kind(key, "a string or a list of strings", value),
        }?;
        self.not_empty(key, found)
    }

    /// Like [`string_or_list`](Self::string_or_list), and must be there.
    pub fn required_string_or_list(&mut self, key: &'static str) -> Option<Words> {
        self.require(key);
        self.string_or_list(key)
    }

    /// A table, if it is there.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'r>> {
        let (key_span, value) = self.take_entry(key)?;
        match value.get_ref() {
            DeValue::Table(entries) => {
                let path = self.dotted(key);
                Some(Self::new(
                    self.reader,
                    Some(entries),
                    path,
                    place(key_span, value),
                ))
            }
            _ => self.wrong_kind(key, "a table", value),
        }
    }

    /// A table that must be there.
    pub fn required_table(&mut self, key: &'static str) -> Option<Table<'r>> {
        self.require(key);
        self.table(key)
    }

    /// A table in which everything has a default: where it isn't there, or isn't
    /// a table, an empty one.
    pub fn table_or_empty(&mut self, key: &'static str) -> Table<'r> {
        let path = self.dotted(key);
        let span = self.span;
        self.table(key)
            .unwrap_or_else(|| Self::new(self.reader, None, path, span))
    }

    /// An array of tables (`[[key]]`); none where the key isn't there.
    pub fn tables(&mut self, key: &'static str) -> Vec<Table<'r>> {
        let Some((key_span, value)) = self.take_entry(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!(
                "`{key}` must be an array of tables, found {}",
                kind(value.get_ref())
            );
            let help = format!("write `[[{}]]`", self.dotted(key));
            self.error_with_help(place(key_span, value), message, help);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(items.len());
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(entries) => tables.push(Self::new(
                    self.reader,
                    Some(entries),
                    self.dotted(key),
                    item.span().into(),
                )),
                _ => {
                    self.wrong_kind::<()>(key, "an array of tables", item);
                }
            }
        }
        tables
    }

    /// An array of tables that must be there and hold at least one.
    pub fn required_tables(&mut self, key: &'static str) -> Vec<Table<'r>> {
        let help = format!("write `[[{}]]`", self.dotted(key));
        match self.entry(key) {
            None => self.error_with_help(self.span, format!("missing key `{key}`"), help),
            Some((_, value)) => {
                if value.get_ref().as_array().is_some_and(|a| a.is_empty()) {
                    self.error(value.span().into(), format!("`{key}` is empty"));
                }
            }
        }
        self.tables(key)
    }

    /// A table whose keys are names of the user's choice and whose values are
    /// strings, in the order of the text.
    pub fn map(&mut self, key: &'static str) -> Option<Spanned<Vec<Named<Spanned<String>>>>> {
        self.named(key, |table, name, value| table.string_of(name, value))
    }

    /// Like [`map`](Self::map), and each value a string or a list of at least one.
    pub fn map_of_lists(&mut self, key: &'static str) -> Option<Spanned<Vec<Named<Words>>>> {
        self.named(key, |table, name, value| {
            let found = match value.get_ref() {
                DeValue::Array(_) => table.list_of(name, value),
                DeValue::String(_) => table
                    .string_of(name, value)
                    .map(|one| Spanned::new(vec![one], value.span())),
                _ => table.wrong_kind(name, "a string or a list of strings", value),
            }?;
            table.not_empty(name, found)
        })
    }

    /// A table of tables (`[key.name]`), in the order of the text.
    pub fn named_tables(&mut self, key: &'static str) -> Vec<Named<Table<'r>>> {
        let found = self.named(key, |table, name, value| match value.get_ref() {
            DeValue::Table(entries) => {
                let path = table.dotted("*");
                let span = value.span().into();
                Some(Self::new(table.reader, Some(entries), path, span))
            }
            _ => table.wrong_kind(name, "a table", value),
        });
        found.map(|found| found.value).unwrap_or_default()
    }

    /// Ends the reading: same as dropping the table.
    pub fn finish(self) {}

    fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Table<'r>, &str, &'r Value<'r>) -> Option<T>,
    ) -> Option<Spanned<Vec<Named<T>>>> {
        let mut table = self.table(key)?;
        table.open = true;
        let mut schema = self.reader.schema.borrow_mut();
        schema.asked.insert(table.dotted("*"));
        schema.present.insert(table.dotted("*"));
        drop(schema);
        let mut entries: Vec<_> = table.entries.into_iter().flatten().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut found = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            if let Some(value) = read(&table, name.get_ref(), value) {
                let name = Spanned::new(name.get_ref().to_string(), name.span());
                found.push((name, value));
            }
        }
        Some(Spanned::new(found, table.span))
    }

    fn entry(&self, key: &str) -> Option<(Span, &'r Value<'r>)> {
        let (name, value) = self.entries?.get_key_value(key)?;
        Some((name.span().into(), value))
    }

    fn take_entry(&mut self, key: &'static str) -> Option<(Span, &'r Value<'r>)> {
        self.known.push(key);
        let dotted = self.dotted(key);
        self.reader.schema.borrow_mut().asked.insert(dotted);
        self.entry(key)
    }

    fn take(&mut self, key: &'static str) -> Option<&'r Value<'r>> {
        self.take_entry(key).map(|(_, value)| value)
    }

    fn require(&self, key: &'static str) {
        if self.has(key) {
            return;
        }
        self.error(self.span, format!("missing key `{key}`"));
    }

    fn string_of(&self, key: &str, value: &Value<'_>) -> Option<Spanned<String>> {
        match value.get_ref() {
            DeValue::String(found) if found.is_empty() => {
                self.error(value.span().into(), format!("`{key}` is empty"));
                None
            }
            DeValue::String(found) => Some(Spanned::new(found.to_string(), value.span())),
            _ => self.wrong_kind(key, "a string", value),
        }
    }

    /// The strings of an array; `None` if one of them is wrong.
    fn list_of(&self, key: &str, value: &Value<'_>) -> Option<Words> {
        let items = value.get_ref().as_array()?;
        let mut whole = true;
        let mut found = Vec::with_capacity(items.len());
        for item in items.iter() {
            let string = match item.get_ref() {
                DeValue::String(_) => self.string_of(key, item),
                _ => self.wrong_kind(key, "a list of strings", item),
            };
            whole &= string.is_some();
            found.extend(string);
        }
        whole.then(|| Spanned::new(found, value.span()))
    }

    fn not_empty<T>(&self, key: &str, found: Spanned<Vec<T>>) -> Option<Spanned<Vec<T>>> {
        if found.value.is_empty() {
            self.error(found.span, format!("`{key}` is empty"));
            return None;
        }
        Some(found)
    }

    fn wrong_kind<T>(&self, key: &str, wanted: &str, value: &Value<'_>) -> Option<T> {
        let found = kind(value.get_ref());
        self.error(
            value.span().into(),
            format!("`{key}` must be {wanted}, found {found}"),
        );
        None
    }

    fn out_of_range<T>(
        &self,
        key: &str,
        least: &dyn std::fmt::Display,
        most: &dyn std::fmt::Display,
        span: Span,
    ) -> Option<T> {
        self.error(span, format!("`{key}` must be between {least} and {most}"));
        None
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl Drop for Table<'_> {
    /// Reports the keys that nobody asked for.
    fn drop(&mut self) {
        if self.open {
            return;
        }
        for key in self.entries.into_iter().flat_map(|entries| entries.keys()) {
            let name: &str = key.get_ref();
            if self.known.contains(&name) || self.not_enforced.contains(&name) {
                continue;
            }
            let message = format!("unknown key `{name}`");
            let span = key.span().into();
            match nearest(name, self.known.iter().copied()) {
                Some(known) => self.error_with_help(span, message, did_you_mean(known)),
                None => self.error(span, message),
            }
        }
    }
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// A value's span, or its key's where the parser gives it none.
fn place(key: Span, value: &Value<'_>) -> Span {
    let span = value.span();
    if span.is_empty() { key } else { span.into() }
}

/// A kind with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
