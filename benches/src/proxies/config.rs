//! The peers' configurations.

use std::path::Path;

use chartward_tests::gateway::AUDIENCE;
use serde_json::{Value, json};

/// What the gateway's pack hides, in njs: parse, cut, write.
pub const REDACT: &str = r"
let body = '';
const HIDDEN = { Patient: ['telecom'], Observation: ['note', 'performer'] };

function cut(resource) {
    (HIDDEN[resource.resourceType] || []).forEach((name) => delete resource[name]);
    if (resource.resourceType === 'Patient') {
        (resource.address || []).forEach((address) => delete address.line);
    }
    (resource.entry || []).forEach((entry) => cut(entry.resource));
}

function head(r) {
    delete r.headersOut['Content-Length'];
}

function redact(r, data, flags) {
    body += data;
    if (flags.last) {
        const resource = JSON.parse(body);
        cut(resource);
        r.sendBuffer(JSON.stringify(resource), flags);
    }
}

export default { head, redact };
";

/// What makes nginx fast: connections to the upstream kept, buffers that hold the largest body.
pub const TUNED: &str = "proxy_http_version 1.1; proxy_set_header Connection \"\"; \
     proxy_max_temp_file_size 0; proxy_buffers 64 8k;";

/// nginx as a TLS proxy; with njs it redacts.
pub fn nginx(port: u16, upstream: u16, redacts: bool, tuning: &str) -> String {
    let (load, import, filter) = if redacts {
        (
            "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;\n",
            "js_path .; js_import redact.js;\n",
            "js_header_filter redact.head; js_body_filter redact.redact buffer_type=string;\n",
        )
    } else {
        ("", "", "")
    };
    format!(
        "{load}daemon off; master_process off; pid nginx.pid; error_log stderr crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n {import} access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         client_body_temp_path tmp; proxy_temp_path tmp-proxy; {tuning}\n\
         upstream chart {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate server.pem; ssl_certificate_key server.key;\n\
         ssl_protocols TLSv1.3;\n\
         location / {{ proxy_pass http://chart; {filter} }} }}\n}}\n"
    )
}

/// HAProxy with a checked token.
pub fn haproxy(port: u16, upstream: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  option http-keep-alive\n  http-reuse always\n\
         frontend fhir\n  bind 127.0.0.1:{port} ssl crt {folder}/both.pem ssl-min-ver TLSv1.3 alpn http/1.1\n\
         \x20 http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')\n\
         \x20 http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')\n\
         \x20 http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')\n\
         \x20 http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')\n\
         \x20 http-request set-var(txn.now) date()\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}\n\
         \x20 http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}\n\
         \x20 http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify(txn.alg,\"{folder}/issuer.pem\") -m int 1 }}\n\
         \x20 default_backend chart\n\
         backend chart\n  server chart 127.0.0.1:{upstream}\n"
    )
}

/// Envoy with a checked token and one rule.
pub fn envoy(port: u16, upstream: u16, folder: &Path, issuer: &str, keys: &str) -> Value {
    let file = |name: &str| json!({ "filename": folder.join(name) });
    let typed = |kind: &str| format!("type.googleapis.com/envoy.extensions.{kind}");
    let filters = json!([
        { "name": "jwt", "typed_config": {
            "@type": typed("filters.http.jwt_authn.v3.JwtAuthentication"),
            "providers": { "dev": {
                "issuer": issuer, "audiences": [AUDIENCE], "forward": true,
                "local_jwks": { "inline_string": keys } } },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "dev" } }] } },
        { "name": "rbac", "typed_config": {
            "@type": typed("filters.http.rbac.v3.RBAC"),
            "rules": { "action": "ALLOW", "policies": { "reads": {
                "permissions": [{ "and_rules": { "rules": [
                    { "header": { "name": ":method", "string_match": { "exact": "GET" } } },
                    { "url_path": { "path": { "prefix": "/fhir/" } } }] } }],
                "principals": [{ "any": true }] } } } } },
        { "name": "router", "typed_config": { "@type": typed("filters.http.router.v3.Router") } }
    ]);
    let manager = json!({
        "@type": typed("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "fhir",
        "codec_type": "HTTP1",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "chart" } }] }] },
        "http_filters": filters,
    });
    let tls = json!({
        "@type": typed("transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {
            "tls_params": { "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3" },
            "tls_certificates": [{ "certificate_chain": file("server.pem"), "private_key": file("server.key") }] },
    });
    let address =
        |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    json!({ "static_resources": {
        "listeners": [{ "name": "fhir", "address": address(port), "filter_chains": [{
            "transport_socket": { "name": "tls", "typed_config": tls },
            "filters": [{ "name": "http", "typed_config": manager }] }] }],
        "clusters": [{ "name": "chart", "type": "STATIC", "load_assignment": { "cluster_name": "chart",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(upstream) } }] }] } }]
    } })
}
