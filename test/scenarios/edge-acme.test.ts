/** `doorward up` gets the certificate of the edge from an authority: nothing waits for it, and a start later nobody is asked again. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AcmeServer } from '../fixtures/acme-server.ts'
import { freePorts, TestDeployment } from '../fixtures/deployment.ts'
import { keySet, platformKey } from '../fixtures/platform-issuer.ts'
import { dial } from '../fixtures/raw-http.ts'

const name = 'edge.test.example'
let authority: AcmeServer
let folder: string
let system: TestDeployment

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-edge-acme-'))
  authority = await AcmeServer.open()
  const [port = 0] = await freePorts(1)
  // Nothing is there yet: the first attempt fails.
  authority.lies.refuses = { type: 'serverInternal' }
  authority.proofPort = port
  await writeFile(join(folder, 'ca.pem'), authority.ca)
  await writeFile(join(folder, 'jwks.json'), keySet(platformKey('ES256', 'own')))
  const acme = `directory: "${authority.directory}", agree_tos: true, allow_private_addresses: true`
  system = await TestDeployment.start({
    listeners: `, edge: "127.0.0.1:${port}"`,
    yaml: `issuers:
  login: { issuer: "https://login.test.example", algorithms: [ES256], jwks_file: "${join(folder, 'jwks.json')}" }
servers:
  notes: { url: "https://notes.test.example/mcp" }
edge:
  { public_url: "https://${name}", issuers: [login], servers: [notes], clients: { claude: [claude-client] },
    certificate: { acme: { ${acme}, ca_file: "${join(folder, 'ca.pem')}" } } }
`,
  })
})
after(async () => {
  await authority.close()
  await system.remove()
  await rm(folder, { recursive: true, force: true })
})

async function fingerprint(): Promise<string | undefined> {
  const where = { host: '127.0.0.1', port: authority.proofPort, servername: name, ca: authority.ca }
  const socket = await dial(where)
  const shown = socket.getPeerX509Certificate()?.fingerprint256
  socket.destroy()
  return shown
}

async function events(): Promise<readonly unknown[]> {
  const entries = await system.record()
  return entries.map(({ entry: { body } }) => body['event']).filter((event) => String(event).startsWith('edge.'))
}

test('what cannot be got is on record and told, and everything else serves', async () => {
  ok(system.events.some(({ event, text }) => event === 'notice' && String(text).includes('no certificate yet')))
  await rejects(fingerprint())
  for (let looks = 0; !(await events()).includes('edge.certificate.failed'); looks++) {
    ok(looks < 100, 'no failure on record')
    await sleep(100)
  }
  deepEqual(await events(), ['edge.open', 'edge.certificate.failed'])
})

test('it is got when the authority issues it, and is there after a start without asking', async () => {
  authority.lies.refuses = null
  await system.interrupt()
  // What would be waited for otherwise.
  await rm(join((await system.deployment()).stateDir, 'gateway', 'acme', 'attempts.sealed'))
  await system.up()
  let shown: string | undefined
  for (let looks = 0; shown === undefined; looks++) {
    ok(looks < 200, system.stderr)
    await sleep(100)
    shown = await fingerprint().catch(() => undefined)
  }
  deepEqual(authority.proofs, [`acme-tls/1 DNS:${name}`])
  await system.interrupt()
  const asked = authority.asked.length
  await system.up()
  equal(await fingerprint(), shown)
  equal(authority.asked.length, asked)
  equal((await events()).filter((event) => event === 'edge.certificate').length, 1)
})
