//! The client scenarios that `sekmet-fhir` ships, through the gateway in front of its own server,
//! under a pack that allows what they need. Which pass, and what the others wait for, is listed
//! here and must be true.

use chartward_tests::peers::{EmptyServer, Scenario, scenarios};
use chartward_tests::{Gateway, Setup, Tokens, need_all};

const PACK: &str = include_str!("packs/scenarios.toml");

/// What must come of a scenario.
#[derive(Clone, Copy)]
enum Comes {
    /// Every step passes; best practice that isn't followed is a warning.
    Passes,
    /// It stops at this step, and this is why.
    Lacks(&'static str, &'static str),
}
use Comes::{Lacks, Passes};

/// In front of a server that does nothing by itself.
const ALL: [(&str, Comes); 14] = [
    ("adt_admit_transfer_discharge", Passes),
    ("adt_merge_update", Passes),
    // `_sort`
    (
        "appointment_book_cancel",
        Lacks("Free slots searchable", "got 400"),
    ),
    ("billing_claim", Passes),
    (
        "bulk_export_group",
        Lacks("Patient A", "does not advertise $export"),
    ),
    ("clinical_documentation", Passes),
    (
        // `ETag`, which comes with If-None-Match; then `_include` and chains
        "conformance_smoke",
        Lacks("Create Patient", "header ETag present"),
    ),
    (
        "lab_order_peer_fills",
        Lacks("Register patient", "does not play role"),
    ),
    // `_include`
    (
        "lab_order_to_result",
        Lacks(
            "DiagnosticReport by patient + category with _include results",
            "got 400",
        ),
    ),
    ("medication_order_dispense", Passes),
    (
        "messaging_adt_orders",
        Lacks(
            "Register (A04 message)",
            "does not advertise FHIR messaging",
        ),
    ),
    ("rad_order_imaging_report", Passes),
    (
        "subscription_backport_roundtrip",
        Lacks(
            "Register patient",
            "does not advertise resource Subscription",
        ),
    ),
    (
        "subscription_roundtrip",
        Lacks(
            "Register patient",
            "does not advertise resource Subscription",
        ),
    ),
];

/// In front of a server that fills orders and pays claims.
const FILLED: [(&str, Comes); 2] = [("lab_order_peer_fills", Passes), ("billing_claim", Passes)];

fn check(simulator: bool, roles: &str, expected: &[(&str, Comes)]) {
    let server = EmptyServer::start(simulator);
    let tokens = Tokens::start();
    let token = tokens.token("his", &["integration"], "system/*.cruds");
    let setup = Setup::new(PACK, server.base.clone()).issuer(tokens.trusted(&["integration"]));
    let gateway = Gateway::start(setup);
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let came = scenarios(&gateway, &token, roles, &names);
    let passed = came.iter().filter(|came| passes(came)).count();
    println!("{passed} of {} scenarios pass", expected.len());
    assert_eq!(came.len(), expected.len());
    for ((name, expected), came) in expected.iter().zip(&came) {
        assert_eq!(came.name, *name);
        let is = match expected {
            Passes => passes(came) && came.odd.is_empty(),
            Lacks(step, why) => {
                let odd = came.odd.first();
                odd.is_some_and(|(at, said)| at == step && said.contains(why))
            }
        };
        assert!(is, "`{name}` is `{}`: {:?}", came.status, came.odd.first());
    }
}

fn passes(came: &Scenario) -> bool {
    ["passed", "warning"].contains(&came.status.as_str())
}

#[test]
fn client_scenarios_pass_or_stop_where_the_list_says() {
    if !need_all(&["binary", "python"]) {
        return;
    }
    check(false, "-", &ALL);
    check(true, "lab-filler,payer", &FILLED);
}
