/** Issuers and the edge change while everything runs: what is taken away is refused at once, and a mistake changes nothing. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { AdminClient } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { gatewayAdminAudience } from '../../packages/server/src/config/settings.ts'
import { TestDeployment } from '../fixtures/deployment.ts'
import { EdgeCaller } from '../fixtures/edge-caller.ts'
import type { EdgeCall } from '../fixtures/edge-caller.ts'
import { edgeParts, issuer } from '../fixtures/edge-deployment.ts'
import type { EdgeParts } from '../fixtures/edge-deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { keySet, platformKey } from '../fixtures/platform-issuer.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'

const secondIssuer = 'https://second.test.example'
const secondKey = platformKey('ES256', 'second')
let tap: Tap
let parts: EdgeParts
let system: TestDeployment
let caller: EdgeCaller
/** The configuration of the start. */
let first: string
let admins: readonly AdminClient[]
let operator: Identity
let folder: string

before(async () => {
  tap = await openTap()
  parts = await edgeParts({ upstream: tap.url })
  await writeFile(join(parts.folder, 'second.json'), keySet(secondKey))
  caller = new EdgeCaller(parts)
  // A policy that stays as it is takes no time.
  const yaml = parts.yaml
    .replace('servers:\n', `servers:\n  other: { url: "${tap.url}", insecure_upstream: true }\n`)
    .replace('bindings:\n', `bindings:\n  - { role: from-the-edge, issuer: "${secondIssuer}", users: [ada] }\n`)
  system = await TestDeployment.start({ yaml, listeners: parts.listeners })
  first = await readFile(system.configFile, 'utf8')
  folder = await system.recordFolder()
  const deployment = await system.deployment()
  operator = await openLocalIdentity({ deployment, environment: readEnvironment({ ...system.env }) })
  await operator.prepare()
  const { authority, gateway } = deployment
  admins = [
    { url: gateway.adminUrl, audience: gatewayAdminAudience(deployment), expectedId: gateway.id },
    { url: authority.adminUrl, audience: authority.publicUrl, expectedId: authority.id },
  ].map((endpoint) => new AdminClient(operator, endpoint))
})
after(async () => {
  operator?.close()
  await system?.remove()
  await tap?.close()
  await rm(parts.folder, { recursive: true, force: true })
})

type Answer = Readonly<Record<string, unknown>>

/** Writes the configuration of the start with these changes; what the gateway says of it, and then the authority. */
async function reload(...changes: readonly (readonly [from: string, to: string])[]): Promise<readonly Answer[]> {
  let text = first
  for (const [from, to] of changes) {
    ok(text.includes(from), from)
    text = text.replace(from, to)
  }
  await writeFile(system.configFile, text)
  const [gateway, authority] = admins
  const told: Answer = await gateway!.reloadConfiguration()
  return told['outcome'] === 'refused' ? [told] : [told, await authority!.reloadPolicy()]
}

const outcomes = (told: readonly Answer[]) => told.map(({ outcome }) => outcome)
const taken = ['changed', 'unchanged']
const own = (more: Partial<EdgeCall> = {}): EdgeCall => ({ iss: issuer, key: parts.key, ...more })
const codeOf = ({ status, headers }: RawAnswer) => headers['doorward-code'] ?? status

/** The call is refused with that code, on record, and nothing of it reaches the server. */
async function refused(how: EdgeCall, code: string): Promise<void> {
  const [from, since] = [tap.bytes, await length()]
  const answer = await caller.call(how)
  equal(codeOf(answer), code, answer.text)
  equal(tap.bytes, from)
  // Of strangers so many are counted by the second.
  await told((body) => body['code'] === code || JSON.stringify(body).includes(`"${code}"`), since)
}

async function length(): Promise<number> {
  return (await entries(0)).length
}

async function entries(from: number): Promise<readonly LoggedEntry[]> {
  const found: LoggedEntry[] = []
  for await (const entry of readEntries(folder, { from, unsigned: true })) found.push(entry)
  return found
}

async function allowed(how: EdgeCall): Promise<void> {
  const from = tap.bytes
  const answer = await caller.call(how)
  equal(answer.status, 200, answer.text)
  ok(tap.bytes > from)
}

const withSecond = [
  ['issuers:\n', `issuers:\n  second: { issuer: "${secondIssuer}", algorithms: [ES256], jwks_file: "SECOND" }\n`],
  ['issuers: [login]', 'issuers: [login, second]'],
] as const

function second(): readonly (readonly [string, string])[] {
  return withSecond.map(([from, to]) => [from, to.replace('SECOND', join(parts.folder, 'second.json'))])
}

/** The newest entry that fits. */
async function told(fits: (body: Answer) => boolean, from = 0): Promise<Answer> {
  for (let looks = 0; ; looks++) {
    const found = (await entries(from)).findLast(({ entry }) => fits(entry.body))
    if (found !== undefined) return found.entry.body
    ok(looks < 200, 'not on record')
    await sleep(50)
  }
}

test('an issuer that is added is believed at the next request, and one that is taken away at none', async () => {
  const other = { iss: secondIssuer, key: secondKey }
  await allowed(own())
  await refused(other, 'token_issuer')
  const added = await reload(...second())
  deepEqual(outcomes(added), taken)
  deepEqual(added[1]?.['also'], ['issuers'])
  await allowed(other)
  await allowed(own())
  await reload()
  await refused(other, 'token_issuer')
  await allowed(own())
  const authority = await system.record('authority')
  const changes = authority.map(({ entry }) => entry.body).filter(({ change }) => change === 'issuers.change')
  deepEqual(
    changes.map(({ added: come, removed: gone }) => [come, gone]),
    [
      [
        { count: 1, named: ['second'] },
        { count: 0, named: [] },
      ],
      [
        { count: 0, named: [] },
        { count: 1, named: ['second'] },
      ],
    ],
  )
})

test('an issuer whose keys or audience change is judged by what it is now', async () => {
  const next = platformKey('ES256', 'next')
  const file = join(parts.folder, 'next.json')
  await writeFile(file, keySet(next))
  deepEqual(outcomes(await reload([join(parts.folder, 'jwks.json'), file])), taken)
  await refused(own(), 'token_key_unknown')
  await allowed(own({ key: next }))
  await reload(['algorithms: [ES256]', 'algorithms: [ES256], audience: "urn:others"'])
  await refused(own(), 'token_audience')
  await reload()
  await allowed(own())
})

test('a mistake in an issuer or at the edge keeps what was, and says so', async () => {
  for (const [change, path] of [
    [['algorithms: [ES256]', 'algorithms: [HS256]'], 'issuers.login.algorithms'],
    [['jwks.json', 'nowhere.json'], 'nowhere.json'],
    [['issuers: [login]', 'issuers: [nobody]'], 'edge.issuers'],
    [['edge.pem', 'nowhere.pem'], 'nowhere.pem'],
  ] as const) {
    const [gateway] = await reload(change)
    equal(gateway?.['outcome'], 'refused', path)
    ok(String(gateway?.['problems']).includes(path), String(gateway?.['problems']))
    await allowed(own())
  }
  const entry = await told(({ change }) => change === 'gateway.reload.refuse')
  match(JSON.stringify(entry['problems']), /nowhere\.pem/)
})

test('bearer tokens, clients, scopes and servers of the edge count from one moment to the next', async () => {
  const bearer = own({ bearer: true })
  await refused(bearer, 'bearer_refused')
  const known = 'clients: { claude: [claude-client] }'
  deepEqual(outcomes(await reload([known, `bearer: true, ${known}`])), taken)
  await allowed(bearer)
  const change = await told(({ event }) => event === 'edge.change')
  deepEqual([change['bearer'], change['servers']], [true, ['notes']])
  ok(system.events.some(({ text }) => String(text).includes('edge.bearer is on')))
  await reload([known, 'clients: { claude: [other-client] }'])
  await refused(bearer, 'bearer_refused')
  await refused(own(), 'client_unlisted')
  await allowed(own({ client: 'other-client' }))
  await reload([known, `scopes: required, ${known}`])
  await refused(own(), 'scope_insufficient')
  await reload(['servers: [notes]', 'servers: [other]'])
  await refused(own(), 'path_unknown')
  await reload()
  await allowed(own())
})

test('so do the algorithms of proofs and the pages that may call', async () => {
  const known = 'clients: { claude: [claude-client] }'
  await reload([known, `dpop: { algorithms: [EdDSA] }, ${known}`])
  await refused(own(), 'dpop_invalid')
  const page = own({ origin: 'https://page.test.example' })
  await reload([known, `origins: ["https://page.test.example"], ${known}`])
  await allowed(page)
  await reload()
  await refused(page, 'origin_unknown')
  await allowed(own())
})

test('certificate files that are named anew are shown from the next connection on', async () => {
  const next = join(parts.folder, 'next')
  await mkdir(next)
  const { certificate, ca } = await certificateFiles(next, ['localhost'])
  const files: readonly (readonly [string, string])[] = [
    [join(parts.folder, 'edge.pem'), certificate.file],
    [join(parts.folder, 'edge.key'), certificate.keyFile],
  ]
  const open = await caller.dial()
  deepEqual(outcomes(await reload(...files)), taken)
  ok(!open.destroyed)
  open.destroy()
  await caller.call(own()).then(
    () => ok(false, 'the certificate before is shown'),
    () => undefined,
  )
  caller.ca = ca
  await allowed(own())
  caller.ca = parts.ca
  await reload()
  await allowed(own())
})

test('what the edge is known by stands until the next start, is named with its line, and nothing of the rest counts', async () => {
  const known = 'clients: { claude: [claude-client] }'
  const bearer = [known, `bearer: true, ${known}`] as const
  for (const [change, path] of [
    [[`edge: "127.0.0.1:${parts.port}"`, 'edge: "127.0.0.1:1"'], 'listeners.edge'],
    [[`public_url: "${parts.publicUrl}"`, 'public_url: "https://other.test.example"'], 'edge.public_url'],
  ] as const) {
    const [gateway] = await reload(change, bearer)
    equal(gateway?.['outcome'], 'refused')
    const problems = gateway?.['problems'] as readonly string[]
    ok(
      problems.some((one) => /doorward\.yaml:\d+ /.test(one) && one.includes(`${path}: this stands until`)),
      String(problems),
    )
    await refused(own({ bearer: true }), 'bearer_refused')
    await allowed(own())
  }
})
