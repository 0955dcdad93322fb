/** What every way to install has to show: a system that starts, lets one call through, denies another, and records both. */

import { equal, match, ok } from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TestDeployment } from '../fixtures/deployment.ts'

export const notesServer = `
let rest = ''
const say = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } }
const tools = ['read_note', 'write_note'].map((name) => ({ name, inputSchema: { type: 'object' } }))
function answer({ id, method, params }) {
  if (method === 'initialize') return say({ id, result })
  if (method === 'tools/list') return say({ id, result: { tools } })
  if (method === 'tools/call') say({ id, result: { content: [{ type: 'text', text: params.name }] } })
}
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n')
  rest = lines.pop()
  for (const line of lines) if (line !== '') answer(JSON.parse(line))
})
`

const rules = `@id("no-secrets")
forbid (principal, action == Action::"tools/call", resource in Server::"notes")
when { context.args has path && context.args.path like "*/secrets/*" };
`

export interface Installed {
  readonly command: readonly [string, ...string[]]
  /** The Node.js binary that runs the server. */
  readonly path: string
}

/** Cedar in a worker is part of it: a policy file is parsed and checked when the gateway starts. */
export async function callsThrough({ command, path }: Installed): Promise<void> {
  const system = await TestDeployment.prepare({ yaml: '', command })
  try {
    const file = join(system.folder, 'server.mjs')
    await writeFile(file, notesServer)
    await writeFile(join(system.folder, 'rules.cedar'), rules)
    await system.configure(`servers:
  notes:
    command: [${path}, ${file}]
    effects: { read: [read_*] }
roles:
  reader: ["read:notes/*"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/*"] }
policy: { files: [rules.cedar] }
`)
    await system.up()
    const allowed = await system.runProcess(['call', 'notes', 'read_note', '--json'])
    equal(allowed.code, 0, allowed.stderr + allowed.stdout)
    match(allowed.stdout, /read_note/)
    const denied = await system.runProcess(['call', 'notes', 'write_note', 'path=/secrets/key', '--json'])
    equal(denied.code, 1, denied.stdout)
    match(denied.stdout, /policy_forbidden/)
    const codes = (await system.record()).map(({ entry }) => entry.body?.['code'])
    ok(codes.includes('policy_forbidden'), codes.join(' '))
    equal(await system.interrupt(), 0, system.stderr)
  } finally {
    await system.remove()
  }
}
