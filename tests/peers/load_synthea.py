"""Loads the Synthea clinic into an empty FHIR server, over HTTP, as transactions.

    load_synthea.py BASE SYNTHEA_DIR [PATIENTS]

SYNTHEA_DIR holds `bundles-bz2/` (hospital and practitioner bundles first, then the first
PATIENTS patients, all by default) and `overlay/` (labelled rows, appointments, consents).
The server gives its own ids: references of the overlay are rewritten to them. Synthea has no
orders, so a few ServiceRequests are made for each patient. Prints one JSON object:
{"entries": N, "ids": {"Patient/<source id>": "Patient/<server id>", …}}.
"""

import bz2
import json
import pathlib
import sys

import httpx


def transaction(http: httpx.Client, base: str, bundle: dict | bytes) -> list[str]:
    """Posts a transaction; answers the `Type/id` of each entry, in order."""
    body = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    answer = http.post(base, content=body, headers={"content-type": "application/fhir+json"})
    if answer.status_code != 200:
        sys.exit(f"loading failed: {answer.status_code} {answer.text[:400]}")
    made = []
    for entry in answer.json()["entry"]:
        location = entry["response"]["location"]
        made.append("/".join(location.split("/_history/")[0].rsplit("/", 2)[-2:]))
    return made


def references(node: object, ids: dict[str, str]) -> object:
    if isinstance(node, dict):
        out = {k: references(v, ids) for k, v in node.items()}
        if isinstance(out.get("reference"), str):
            out["reference"] = ids.get(out["reference"], out["reference"])
        return out
    if isinstance(node, list):
        return [references(v, ids) for v in node]
    return node


def order(n: int, patient: str, status: str) -> dict:
    return {
        "resourceType": "ServiceRequest",
        "id": f"order-{n}-{status}",
        "status": status,
        "intent": "order",
        "code": {"coding": [{"system": "http://loinc.org", "code": "58410-2"}], "text": "Complete blood count"},
        "subject": {"reference": patient, "display": "OrderDisplayMarker"},
        "reasonCode": [{"text": "OrderReasonMarker"}],
        "note": [{"text": "OrderNoteMarker"}],
    }


def main() -> None:
    base, root = sys.argv[1], pathlib.Path(sys.argv[2])
    patients = int(sys.argv[3]) if len(sys.argv) > 3 else None
    files = sorted((root / "bundles-bz2").glob("*.bz2"))
    common = [f for f in files if f.name.startswith("0-")]
    rest = [f for f in files if not f.name.startswith("0-")][:patients]
    ids: dict[str, str] = {}
    entries = 0
    with httpx.Client(timeout=120) as http:
        for file in [*common, *rest]:
            body = bz2.decompress(file.read_bytes())
            made = transaction(http, base, body)
            entries += len(made)
            for entry, to in zip(json.loads(body)["entry"], made, strict=True):
                source = entry["resource"]
                ids[f"{source['resourceType']}/{source['id']}"] = to
        extra = []
        for file in sorted((root / "overlay").glob("*.ndjson")):
            for line in file.read_text().splitlines():
                row = references(json.loads(line), ids)
                extra.append(row)
        people = [v for k, v in ids.items() if k.startswith("Patient/")]
        for n, patient in enumerate(people):
            extra += [order(n, patient, "active"), order(n, patient, "completed")]
        rows = [
            {"fullUrl": f"{base}/{r['resourceType']}/{r['id']}", "resource": r,
             "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
            for r in extra
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": rows}
        entries += len(transaction(http, base, bundle))
    print(json.dumps({"entries": entries, "ids": ids}))


main()
