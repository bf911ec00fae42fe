//! `chartward certs`: a development authority and certificates by it.

use std::io::{self, Write};
use std::path::Path;

use chartward_certs::{Authority, ClientSpec};

use super::UNUSABLE;

/// Exit codes: 0 made, 2 they can't be.
pub fn certs(
    directory: &Path,
    hosts: &[String],
    clients: &[String],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    match make(directory, hosts, clients, out) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            UNUSABLE
        }
    }
}

fn make(
    directory: &Path,
    hosts: &[String],
    clients: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let authority = Authority::new("chartward development authority").map_err(io::Error::other)?;
    authority.write(directory, "ca").map_err(io::Error::other)?;
    let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let server = authority.server(&names).map_err(io::Error::other)?;
    server
        .write(directory, "server")
        .map_err(io::Error::other)?;
    let mut made = vec!["ca".to_owned(), "server".to_owned()];
    for uri in clients {
        let stem = uri
            .rsplit('/')
            .next()
            .filter(|s| !s.is_empty())
            .unwrap_or("client")
            .to_owned();
        let client = authority
            .client(&ClientSpec::spiffe(&stem, uri))
            .map_err(io::Error::other)?;
        client.write(directory, &stem).map_err(io::Error::other)?;
        made.push(stem);
    }
    for stem in made {
        writeln!(out, "{0}.pem {0}.key", directory.join(stem).display())?;
    }
    writeln!(
        out,
        "for development only: they last 30 days and their authority's key lies beside them"
    )
}
