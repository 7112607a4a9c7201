// The official MCP client for Node against the egress door: begins, lists, calls, ends, and says what it got.
// `node tools.mjs ADDRESS CREDENTIAL URL…`; one line of JSON.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [address, credential, ...urls] = process.argv.slice(2);
const client = new Client({ name: 'doorward-e2e', version: '1' });
const transport = new StreamableHTTPClientTransport(new URL(address), {
  requestInit: { headers: { Authorization: `Bearer ${credential}` } },
});
await client.connect(transport);
const session = transport.sessionId;
await client.ping();
const tools = (await client.listTools()).tools.map((tool) => tool.name);
const results = [];
for (const url of urls) {
  results.push(await client.callTool({ name: 'fetch', arguments: { url } }));
}
await transport.terminateSession();
await client.close();
console.log(JSON.stringify({ session, server: client.getServerVersion(), tools, results }));
