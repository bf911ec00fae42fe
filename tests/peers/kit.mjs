// Reads, searches and pages through a FHIR base with `fhir-kit-client`, as an application would.
//
//   TOKEN=… NODE_EXTRA_CA_CERTS=ca.pem node kit.mjs BASE < plan.json
//
// Plan and output are those of fhirpy_client.py.

import { text } from 'node:stream/consumers';
import { Client } from 'fhir-kit-client';

const client = new Client({ baseUrl: process.argv[2] });
client.bearerToken = process.env.TOKEN;

const rows = (bundle) =>
  (bundle.entry ?? []).filter((e) => e.search?.mode !== 'outcome').map((e) => e.resource);

async function run(step) {
  if (step.do === 'read') {
    const resource = await client.read({ resourceType: step.type, id: step.id });
    return { resources: [resource], pages: 1 };
  }
  let bundle = await client.search({ resourceType: step.type, searchParams: step.params ?? {} });
  const resources = rows(bundle);
  let pages = 1;
  if (step.do === 'page') {
    while ((bundle = await client.nextPage({ bundle }))) {
      resources.push(...rows(bundle));
      pages += 1;
    }
  }
  return { resources, pages };
}

for (const step of JSON.parse(await text(process.stdin))) {
  let seen;
  try {
    seen = { ok: true, ...(await run(step)) };
  } catch (error) {
    if (!error.response) throw error;
    seen = { ok: false, error: String(error.response.status) };
  }
  console.log(JSON.stringify(seen));
}
