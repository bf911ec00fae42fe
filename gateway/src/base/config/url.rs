//! The few URLs a configuration holds.

use std::{fmt, net::IpAddr};

use chartward_rules::source::{Spanned, Table};
use http::Uri;

/// An absolute `http` or `https` URL without user, query or fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    https: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Parses; else what is wrong with it, to be said after "must".
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "be an absolute `http` or `https` URL";
        if text.contains('#') {
            return Err("have no fragment");
        }
        let uri: Uri = text.parse().map_err(|_| WANTED)?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(WANTED),
        };
        let authority = uri.authority().ok_or(WANTED)?;
        if authority.as_str().contains('@') {
            return Err("have no user in it");
        }
        if uri.query().is_some() {
            return Err("have no query");
        }
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        // `host:` and `host:99999` parse, and have no port
        let tail = authority.as_str().strip_prefix(host).unwrap_or("");
        let port = match (tail, authority.port_u16()) {
            ("", _) => {
                if https {
                    443
                } else {
                    80
                }
            }
            (_, Some(port)) if port > 0 => port,
            _ => return Err("have a port between 1 and 65535"),
        };
        if bare.is_empty() {
            return Err(WANTED);
        }
        Ok(Self {
            text: text.to_owned(),
            https,
            host: bare.to_ascii_lowercase(),
            port,
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Parses, and reports what is wrong.
    pub(super) fn read(table: &Table<'_>, key: &str, text: &Spanned<String>) -> Option<Self> {
        match Self::parse(text) {
            Ok(url) => Some(url),
            Err(must) => {
                table.error(text.span, format!("`{key}` must {must}"));
                None
            }
        }
    }

    /// The text as it was written; issuers are compared by it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Name or address, in lower case, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own where none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path without a slash at its end; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `host` or `host:port`, as a `Host` header has it.
    pub fn authority(&self) -> String {
        let open = if self.host.contains(':') { "[" } else { "" };
        let close = if open.is_empty() { "" } else { "]" };
        let host = format!("{open}{}{close}", self.host);
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Whether it stays on this machine: a loopback address or `localhost`.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn a_url_is_taken_apart() {
        for (text, https, authority, port, path, loopback) in [
            ("https://A.example/", true, "a.example", 443, "", false),
            (
                "http://127.0.0.1:8080/fhir/",
                false,
                "127.0.0.1:8080",
                8080,
                "/fhir",
                true,
            ),
            ("http://[::1]:80/a/b", false, "[::1]", 80, "/a/b", true),
            ("http://localhost", false, "localhost", 80, "", true),
            (
                "http://127.0.0.1.example",
                false,
                "127.0.0.1.example",
                80,
                "",
                false,
            ),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.is_https(), https, "{text}");
            assert_eq!(url.authority(), authority, "{text}");
            assert_eq!((url.port(), url.path()), (port, path), "{text}");
            assert_eq!(url.is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn what_is_not_such_a_url_is_refused() {
        for text in [
            "",
            "a.example",
            "/fhir",
            "ftp://a.example",
            "https://",
            "https://u@a.example",
            "https://a.example?x",
            "https://a.example#x",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:99999",
            "https://a b",
            "https:///x",
            "https://:443",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
