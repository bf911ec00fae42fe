//! Wrong configurations, each with the one line that tells what is wrong.

use super::{SMALLEST, folder, outcome};

/// What is changed in the smallest configuration (text → text; nothing: appended),
/// and the only line that `check` then says.
#[rustfmt::skip]
const WRONG: &[(&str, &str, &str)] = &[
    // TOML itself
    ("", "[listen]\n", "15:2: error: duplicate key"),
    ("", "x = \n", "15:5: error: string values must be quoted, expected literal string"),
    // what must be there
    ("[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n", "", "1:1: error: missing key `tls`"),
    ("key = \"server.key\"\n", "", "4:1: error: missing key `key`"),
    ("path = \"/fhir\"\n", "", "7:1: error: missing key `path`"),
    ("[[issuer]]\nurl = \"https://idp.example\"\naudience = [\"https://fhir.example/fhir\"]\n", "", "1:1: error: nobody can be let in without an `issuer` or a `workload` (write `[[issuer]]`)"),
    // unknown, and known but not enforced
    ("", "[[servce]]\n", "15:3: error: unknown key `servce` (did you mean `service`?)"),
    ("", "colour = 1\n", "15:1: error: unknown key `colour`"),
    ("path =", "pth = 1\npath =", "9:1: error: unknown key `pth` (did you mean `path`?)"),
    ("[tls]", "[limits]\nurl_byte = '1KiB'\n[tls]", "5:1: error: unknown key `url_byte` (did you mean `url_bytes`?)"),
    ("", "[[mllp]]\n", "15:3: error: `mllp` is not enforced by this version; remove it"),
    ("", "[[sink]]\nkind = 'file'\n", "15:3: error: `sink` is not enforced by this version; remove it"),
    ("", "[state]\nurl = 'x'\n", "15:2: error: `state` is not enforced by this version; remove it"),
    ("[tls]", "admin = '127.0.0.1:1'\n[tls]", "4:1: error: `admin` is not enforced by this version; remove it"),
    ("[tls]", "[tls]\ncrl = ['a']", "5:1: error: `crl` is not enforced by this version; remove it"),
    ("", "[journal]\nkey = 'a'\n", "16:1: error: `key` is not enforced by this version; remove it"),
    ("", "binding = 'dpop'\n", "15:1: error: `binding` is not enforced by this version; remove it"),
    // listen
    ("127.0.0.1:0", "localhost", "2:9: error: `https` must be an address and a port (such as `127.0.0.1:8443` or `[::]:8443`)"),
    ("https://fhir.example\"", "http://fhir.example\"", "3:14: error: `public_url` must be `https`"),
    ("https://fhir.example\"", "https://fhir.example?a=b\"", "3:14: error: `public_url` must have no query"),
    ("https://fhir.example\"", "https://fhir.example/x\"", "3:14: error: `public_url` must have no path (the path of a service is its `path`)"),
    ("127.0.0.1:0\"", "127.0.0.1:9\"\nmetrics = '127.0.0.1:9'", "3:11: error: `metrics` needs an address of its own, not that of `https`"),
    ("[tls]", "refusal_quantum = '2s'\n[tls]", "4:19: error: `refusal_quantum` must be between 1ms and 1s"),
    ("[tls]", "refusal_quantum = 10\n[tls]", "4:19: error: `refusal_quantum` must be a string, found an integer"),
    ("", "[server]\nworkers = -1\n", "16:11: error: `workers` must be between 0 and 1024"),
    // limits
    ("", "[limits]\nidle = '0s'\n", "16:8: error: `idle` must be between 100ms and 1h"),
    ("", "[limits]\nbody_bytes = '4MB'\n", "16:14: error: `body_bytes` must be a size (a whole number and one of `B`, `KiB`, `MiB`, `GiB`, such as `\"4MiB\"`)"),
    ("", "[limits]\ntoken_bytes = '64KiB'\n", "16:1: error: `token_bytes` must not be more than `header_bytes`"),
    ("", "[limits]\nconnections = 0\n", "16:15: error: `connections` must be between 1 and 1000000"),
    // tls
    ("server.pem", "gone.pem", "5:15: error: file `gone.pem` can't be read: no such file"),
    ("\"server.key\"", "'env:NO_SUCH_VARIABLE'", "6:7: error: environment variable `NO_SUCH_VARIABLE` is not set"),
    ("\"server.key\"", "'blank'", "6:7: error: `blank` holds nothing"),
    ("[[service]]", "client_auth = 'optional'\n[[service]]", "7:15: error: client certificates need `client_ca`"),
    ("[[service]]", "client_ca = 'ca.pem'\n[[service]]", "7:13: error: `client_ca` has no effect while `client_auth` is `off` (set `client_auth` to `optional` or `required`)"),
    ("[[service]]", "client_auth = 'require'\n[[service]]", "7:15: error: `client_auth` must be one of `off`, `optional`, `required` (did you mean `required`?)"),
    // service
    ("\"ehr\"", "'EHR'", "8:8: error: `name` must be at most 64 of `a-z`, `0-9` and `-`"),
    ("\"/fhir\"", "'fhir'", "9:8: error: `path` must begin with `/`"),
    ("\"/fhir\"", "'/fhir/'", "9:8: error: `path` must be `/` and plain segments, with no slash at its end (such as `/fhir`)"),
    ("\"/fhir\"", "'/a%2fb'", "9:8: error: `path` must be `/` and plain segments, with no slash at its end (such as `/fhir`)"),
    ("\"http://127.0.0.1:8080/fhir\"", "'http://ehr.example'", "10:12: error: `upstream` must be `https` or on loopback (`allow_plain_upstream = true` sends patient data in the clear)"),
    ("\"http://127.0.0.1:8080/fhir\"", "'127.0.0.1:8080'", "10:12: error: `upstream` must be an absolute `http` or `https` URL"),
    ("[\"pack.toml\"]", "[]", "11:9: error: `packs` is empty"),
    ("[\"pack.toml\"]", "['pack.toml', 'gone.toml']", "11:23: error: file `gone.toml` can't be read: no such file"),
    ("packs", "upstream_tls = { ca = 'ca.pem' }\npacks", "11:16: error: `upstream_tls` has no effect on an `http` upstream"),
    ("\"http://127.0.0.1:8080/fhir\"", "['http://127.0.0.1:1/a', 'http://127.0.0.1:2/b']", "10:37: error: all of `upstream` must have the same path (they serve one and the same store)"),
    ("\"http://127.0.0.1:8080/fhir\"", "['http://127.0.0.1:1/a', 'https://b/a']", "10:37: error: all of `upstream` must be `https`, or none"),
    ("\"http://127.0.0.1:8080/fhir\"", "['http://127.0.0.1:1/a', 'http://127.0.0.1:1/a/']", "10:37: error: this `upstream` is there already"),
    ("\"http://127.0.0.1:8080/fhir\"", "['http://127.0.0.1:1', 'http://ehr.example']", "10:35: error: `upstream` must be `https` or on loopback (`allow_plain_upstream = true` sends patient data in the clear)"),
    ("\"http://127.0.0.1:8080/fhir\"", "[]", "10:12: error: `upstream` is empty"),
    ("\"http://127.0.0.1:8080/fhir\"", "'https://a'\nupstream_tls = { sha256 = 'ab' }", "11:27: error: `sha256` must be 64 hexadecimal digits"),
    ("\"http://127.0.0.1:8080/fhir\"", "'https://a'\nupstream_tls = { certificate = 'ca.pem' }", "11:32: error: `certificate` needs its `key`"),
    ("\"http://127.0.0.1:8080/fhir\"", "'https://a'\nupstream_tls = { key = 'server.key' }", "11:24: error: `key` needs its `certificate`"),
    ("packs", "health = { path = 'metadata' }\npacks", "11:19: error: `path` must be a plain path below the base of the server (such as `/metadata`)"),
    ("packs", "health = { path = '/../x' }\npacks", "11:19: error: `path` must be a plain path below the base of the server (such as `/metadata`)"),
    ("packs", "health = { every = '1ms' }\npacks", "11:20: error: `every` must be between 100ms and 1h"),
    ("packs", "health = { unhealthy_after = 0 }\npacks", "11:30: error: `unhealthy_after` must be between 1 and 100"),
    ("packs", "ejection = { first = '10m' }\npacks", "11:22: error: `first` must not be more than `longest`"),
    ("packs", "load = { requests = 0 }\npacks", "11:21: error: `requests` must be between 1 and 1000000"),
    ("packs", "load = { wait = '5m' }\npacks", "11:17: error: `wait` must be between 10ms and 1m"),
    ("packs", "upstream_requests = 3\npacks", "11:1: error: unknown key `upstream_requests`"),
    ("packs", "authorization = { bearer_file = 'two-lines' }\npacks", "11:33: error: `two-lines` holds no bearer token"),
    ("packs", "authorization = { bearer_file = 'token', bearer = 'x' }\npacks", "11:42: error: unknown key `bearer`"),
    ("packs", "page = { default = 600 }\npacks", "11:20: error: `default` must not be more than `max`"),
    ("packs", "default_client = ['nurse', '*']\npacks", "11:28: error: `*` must be alone in `default_client`"),
    ("packs", "issuers = ['https://idp.exmple']\npacks", "11:12: error: there is no issuer `https://idp.exmple` (did you mean `https://idp.example`?)"),
    ("[[issuer]]", "[[service]]\nname = 'ehr'\npath = '/r5'\nupstream = 'http://[::1]'\npacks = ['pack.toml']\n[[issuer]]", "13:8: error: service `ehr` is there already"),
    ("[[issuer]]", "[[service]]\nname = 'other'\npath = '/fhir/r5'\nupstream = 'http://[::1]'\npacks = ['pack.toml']\n[[issuer]]", "14:8: error: `path` overlaps that of service `ehr`"),
    // issuer
    ("https://idp.example", "http://idp.example", "13:7: error: `url` must be `https` or on loopback"),
    ("", "jwks = 'http://idp.example/jwks'\n", "15:8: error: `jwks` must be `https` or on loopback"),
    ("[\"https://fhir.example/fhir\"]", "[]", "14:12: error: `audience` is empty"),
    ("", "roles = 'roles'\n", "15:9: error: `roles` has no effect without `map` (what `map` doesn't name gives nothing)"),
    ("", "map = { a = 'nurse' }\n", "15:1: error: `map` has no effect without `roles` (the claim that holds roles, such as `realm_access.roles`)"),
    ("", "roles = 'roles'\nmap = { a = '*' }\n", "16:13: error: `*` is not a role"),
    ("", "leeway = '5m'\n", "15:10: error: `leeway` must be between 0ms and 1m"),
    ("", "[[issuer]]\nurl = 'https://two.example'\naudience = 'x'\n", "8:8: error: this service must say which `issuers` it trusts"),
    // client, workload
    ("", "[[client]]\nid = 'a'\nroles = ['x', 'x']\n", "17:15: error: role `x` is there already"),
    ("", "[[client]]\nid = 'a'\nroles = ['*']\n[[client]]\nid = 'a'\nroles = ['*']\n", "19:6: error: client `a` is there already"),
    ("", "[[workload]]\nname = 'lab'\nroles = ['lab']\ncertificate = { dns = 'a' }\n", "18:23: error: a workload needs client certificates (set `client_auth` in `[tls]` to `optional` or `required`)"),
    ("[[service]]", "client_auth = 'required'\nclient_ca = 'ca.pem'\n[[workload]]\nname = 'lab'\nroles = ['lab']\ncertificate = { dns = 'a', uri = 'b:c' }\n[[service]]", "12:15: error: `certificate` must have one of `uri`, `dns`, `subject`, `sha256`"),
    ("[[service]]", "client_auth = 'required'\nclient_ca = 'ca.pem'\n[[workload]]\nname = 'lab'\nroles = ['lab']\ncertificate = { sha256 = 'ab' }\n[[service]]", "12:26: error: `sha256` must be 64 hexadecimal digits"),
    ("[[service]]", "client_auth = 'required'\nclient_ca = 'ca.pem'\n[[workload]]\nname = 'a'\nroles = ['lab']\ncertificate.dns = 'A'\n[[workload]]\nname = 'b'\nroles = ['lab']\ncertificate.dns = 'a'\n[[service]]", "16:19: error: workload `a` has the same certificate"),
    // the rest
    ("", "[secrets]\nhandles = 'short.key'\n", "16:11: error: `short.key` holds no key of 32 bytes in base64url"),
    ("", "[journal]\ndurability = 'sync'\n", "16:14: error: `durability` must be one of `fsync`, `write` (did you mean `fsync`?)"),
    ("", "[log]\nformat = true\n", "16:10: error: `format` must be a string, found a boolean"),
];

#[test]
fn each_wrong_configuration_is_told_exactly() {
    let folder = folder();
    let mut failures = Vec::new();
    for (from, to, expected) in WRONG {
        let text = match *from {
            "" => format!("{SMALLEST}{to}"),
            from => {
                assert!(SMALLEST.contains(from), "{from}");
                SMALLEST.replacen(from, to, 1)
            }
        };
        let outcome = outcome(&text, folder.path());
        let lines: Vec<_> = outcome.diagnostics.iter().map(|d| d.to_string()).collect();
        if lines != [format!("c.toml:{expected}")] {
            failures.push(format!("{to:?}\n  wanted {expected}\n  found  {lines:#?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
