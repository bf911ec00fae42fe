"""Starts the FHIR server `sekmet-fhir` on a free loopback port over a fresh store.

    fhir_server.py DATA_DIR [SIMULATOR]

No authentication, no inbound validation: it is the chart behind the gateway. The simulator, which
fills orders and pays claims by itself, runs where it is asked for (any second argument).
Prints `sekmet ready URL` once it listens, and serves until its standard input closes.
"""

import os
import pathlib
import socket
import sys
import threading

import uvicorn
from sekmet.config import Settings, set_settings
from sekmet.main import create_app


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    threading.Thread(target=end_with_parent, daemon=True).start()
    data = pathlib.Path(sys.argv[1])
    data.mkdir(parents=True, exist_ok=True)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(512)
    port = sock.getsockname()[1]
    settings = Settings.model_validate(
        {
            "base_url": f"http://127.0.0.1:{port}/fhir",
            "host": "127.0.0.1",
            "port": port,
            "data_dir": str(data),
            "own_private_key_path": str(data / "own.key"),
            "validation": {"inbound": "off"},
            "simulator": {"enabled": len(sys.argv) > 2, "delay_seconds": 0.2},
            "log_inbound": False,
        }
    )
    set_settings(settings)
    app = create_app(settings)
    print(f"sekmet ready {settings.base_url}", flush=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[sock])


main()
