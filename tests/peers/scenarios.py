"""Runs the client scenarios that `sekmet-fhir` ships against a FHIR base, by its own command line.

    TOKEN=… SSL_CERT_FILE=CA.pem scenarios.py DATA_DIR BASE ROLES [SCENARIO…]

ROLES are the parts that the peer plays by itself (`lab-filler,payer`), or `-`; without names all
scenarios run. The client's own server, which receives notifications, listens on a free loopback
port. Prints one JSON line a scenario: {"scenario", "status", "odd": [[step, message], …]} with the
steps that failed, or the first one where all are skipped.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def main() -> None:
    data, base, roles, *names = sys.argv[1:]
    data = pathlib.Path(data)
    data.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {
        "base_url": f"http://127.0.0.1:{port}/fhir",
        "host": "127.0.0.1",
        "port": port,
        "data_dir": str(data),
        "own_private_key_path": str(data / "own.key"),
        "simulator": {"enabled": False},
        "peers": {
            "gateway": {
                "base_url": base,
                "auth": {"type": "bearer", "token": os.environ["TOKEN"]},
                "roles": [] if roles == "-" else roles.split(","),
                "timeout": 30,
            }
        },
    }
    config = data / "settings.yaml"
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-c", "from sekmet.cli import app; app()", "scenario", "run"]
    options = ["--peer", "gateway", "--config", str(config), "--report-dir", str(data), "--serve"]
    with open(data / "said", "w") as said:
        subprocess.run([*command, *(names or ["all"]), *options], stdout=said, stderr=said, timeout=300)
    reports = list(data.glob("*-gateway/results.json"))
    if len(reports) != 1:
        sys.exit((data / "said").read_text())
    for result in json.loads(reports[0].read_text()):
        bad = [s for s in result["steps"] if s["status"] in ("failed", "error")]
        if result["status"] == "skipped":
            bad = result["steps"][:1]
        line = {
            "scenario": pathlib.Path(result["file"]).stem,
            "status": result["status"],
            "odd": [[step["name"], step["message"]] for step in bad],
        }
        print(json.dumps(line), flush=True)


main()
