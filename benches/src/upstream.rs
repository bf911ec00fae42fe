//! The upstream: nginx that serves the bodies from files.

use std::fs;
use std::path::Path;
use std::process::Command;

use chartward_benches::bodies::Row;
use chartward_tests::process::Process;

use crate::proxies::{free_port, listening};

/// nginx, one worker, that serves the bodies from files.
pub struct Upstream {
    port: u16,
    _process: Process,
}

impl Upstream {
    /// Starts it in a folder.
    pub fn start(folder: &Path) -> Self {
        let folder = folder.join("upstream");
        fs::create_dir_all(&folder).expect("the upstream's folder");
        for (row, name) in [
            (Row::Read, "read"),
            (Row::Search, "search"),
            (Row::Bundle, "bundle"),
        ] {
            fs::write(folder.join(format!("{name}.json")), row.body())
                .expect("the upstream's file");
        }
        let port = free_port();
        let config = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n access_log off; default_type application/fhir+json; sendfile on; tcp_nopush on; etag off;\n\
             keepalive_requests 1000000000; keepalive_timeout 600s; open_file_cache max=100;\n\
             client_body_temp_path tmp;\n\
             map $arg_code $which {{ default search; 8462-4 bundle; }}\n\
             server {{ listen 127.0.0.1:{port}; root {root};\n\
             location /fhir/Patient/ {{ rewrite ^ /read.json last; }}\n\
             location = /fhir/Observation {{ rewrite ^ /$which.json last; }} }}\n}}\n",
            root = folder.display(),
        );
        fs::write(folder.join("nginx.conf"), config).expect("the upstream's configuration");
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(&folder)
            .args(["-e", "stderr", "-c", "nginx.conf"]);
        let process = Process::start("the upstream", command);
        listening(port, &process);
        Self {
            port,
            _process: process,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }
}
