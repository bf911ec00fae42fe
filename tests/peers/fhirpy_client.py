"""Reads, searches and pages through a FHIR base with `fhirpy`, as an application would.

    TOKEN=… fhirpy_client.py BASE CA.pem < plan.json

The plan is a list of steps: {"do": "read", "type", "id"}, {"do": "search", "type", "params"}
(one page), {"do": "page", "type", "params"} (all pages). Prints one JSON line a step:
{"ok": true, "resources": […], "pages": n} or {"ok": false, "error": "<class>"}.
"""

import json
import os
import sys

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import BaseFHIRError


def run(client: SyncFHIRClient, step: dict) -> dict:
    if step["do"] == "read":
        return {"resources": [client.get(step["type"], step["id"])], "pages": 1}
    search = client.resources(step["type"]).search(**step.get("params", {}))
    if step["do"] == "search":
        return {"resources": [dict(r) for r in search.fetch()], "pages": 1}
    if step["do"] == "page":
        return {"resources": [dict(r) for r in search.fetch_all()], "pages": None}
    sys.exit(f"unknown step {step['do']}")


def main() -> None:
    base, ca = sys.argv[1:3]
    client = SyncFHIRClient(
        base,
        authorization=f"Bearer {os.environ['TOKEN']}",
        requests_config={"verify": ca},
    )
    for step in json.load(sys.stdin):
        try:
            seen = {"ok": True, **run(client, step)}
        except BaseFHIRError as error:
            seen = {"ok": False, "error": type(error).__name__}
        print(json.dumps(seen), flush=True)


main()
