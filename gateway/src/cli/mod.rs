//! The command line: raw arguments in, an exit code out. 0 done, 1 the answer is no, 2 wrong
//! usage or input.

pub mod audit;
mod certs;
mod check;
mod demo;
mod serve;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Wrong usage or input.
const UNUSABLE: u8 = 2;

/// An enforcement gateway for FHIR APIs.
#[derive(Parser)]
#[command(name = "chartward", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a configuration until SIGTERM or SIGINT.
    Serve {
        /// The configuration file; config.example.toml documents every key.
        #[arg(long)]
        config: PathBuf,
    },
    /// Load all that `serve` would, and tell every error with its place.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// How errors are told.
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Everything embedded, on loopback only: a sample clinic, an issuer, certificates, the gateway.
    Demo {
        /// Port of the gateway; by default 8443, or a free one where that is taken.
        #[arg(long)]
        port: Option<u16>,
        /// Where certificates, tokens and the journal go; by default a new temporary folder.
        #[arg(long)]
        directory: Option<PathBuf>,
    },
    /// Make a development authority and certificates. Not for production.
    Certs {
        /// Where they go.
        #[arg(long, default_value = "certs")]
        directory: PathBuf,
        /// Names and addresses of the server's certificate.
        #[arg(long, default_values = ["localhost", "127.0.0.1"])]
        host: Vec<String>,
        /// URI of a client certificate, such as spiffe://hospital.example/lab.
        #[arg(long)]
        client: Vec<String>,
    },
    /// Read a journal.
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
}

#[derive(Subcommand)]
enum Audit {
    /// Prove that no record was changed, removed or put in.
    Verify {
        /// The journal's directory.
        #[arg(long)]
        journal: PathBuf,
    },
    /// Print the records, one JSON object a line.
    Show {
        /// The journal's directory.
        #[arg(long)]
        journal: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: lines, carets, what to do.
    Text,
    /// For tools: one JSON object a line.
    Json,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let (out, err) = (&mut io::stdout().lock(), &mut io::stderr());
    let code = match Arguments::parse().command {
        Command::Serve { config } => serve::serve(&config, out, err),
        Command::Check { config, format } => {
            check::check(&config, format == Format::Json, out, err)
        }
        Command::Demo { port, directory } => demo::demo(port, directory, out, err),
        Command::Certs {
            directory,
            host,
            client,
        } => certs::certs(&directory, &host, &client, out, err),
        Command::Audit {
            command: Audit::Verify { journal },
        } => audit::verify(&journal, out, err),
        Command::Audit {
            command: Audit::Show { journal },
        } => audit::show(&journal, out, err),
    };
    ExitCode::from(code)
}
