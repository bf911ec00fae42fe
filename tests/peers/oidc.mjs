// A real authorization server: `oidc-provider` on a free loopback port.
//
//   node oidc.mjs CONFIG.json
//
// CONFIG: { "audience": "https://…", "scopes": "…", "ttl": 3600,
//           "clients": [{ "id", "secret", "alg": "ES256" | "RS256", "claims": {…} }] }
// Each client gets RFC 9068 access tokens (`at+jwt`) by client_credentials with
// `resource=<audience>`; `claims` are added to its tokens. Prints `oidc ready ISSUER`;
// ends when its standard input closes.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import Provider, { errors } from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const byId = new Map(config.clients.map((c) => [c.id, c]));

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const keys = await Promise.all(
  ['ES256', 'RS256'].map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `${alg}-1` };
  }),
);

const provider = new Provider(issuer, {
  jwks: { keys },
  clients: config.clients.map((c) => ({
    client_id: c.id,
    client_secret: c.secret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic',
  })),
  ttl: { ClientCredentials: config.ttl ?? 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_ctx, resource, client) {
        if (resource !== config.audience) throw new errors.InvalidTarget();
        return {
          scope: config.scopes,
          audience: config.audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: config.ttl ?? 3600,
          jwt: { sign: { alg: byId.get(client.clientId)?.alg ?? 'ES256' } },
        };
      },
    },
  },
  extraTokenClaims: (_ctx, token) => byId.get(token.clientId)?.claims,
});

process.stdin.on('end', () => process.exit(0)).resume();
server.on('request', provider.callback());
console.log(`oidc ready ${issuer}`);
