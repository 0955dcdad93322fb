/** A receipt is for the caller of the call alone: whatever else is asked for has one and the same answer. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDoorwardError, openLogProof, parseVerifierKey } from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import { importEd25519, openMcpClient, readJsonBody, sha256, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { tryLock } from '../../packages/enforcement/src/record/writer-lock.ts'
import type { WriterLock } from '../../packages/enforcement/src/record/writer-lock.ts'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

let system: RunningSystem
let agent: Identity
let other: Identity
let verifier: NoteVerifier

before(async () => {
  system = await startSystem()
  agent = await system.open(await system.join('agent/planner'))
  other = await system.open(await system.join('agent/other'))
  const { name, keyId, publicKey } = parseVerifierKey(sha256, system.gateway.record.verifierKey)
  const key = importEd25519(publicKey)
  ok(key !== null)
  verifier = { name, keyId, key }
})
after(() => system.stop())

const gateway = () => system.endpoint.url.replace('/mcp/files', '')
const origin = () => system.gateway.record.origin

/** A call of a tool, by its id in the record. */
async function called(fetch: Identity, tool = 'read_note'): Promise<string> {
  const client = { name: 'receipts', version: '1' }
  const session = await openMcpClient({ fetch, endpoint: system.endpoint, runtime: systemRuntime, client })
  const answer = await session.request('tools/call', { name: tool, arguments: {} })
  await session.close()
  return answer.decision?.decision ?? ''
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Readonly<Record<string, unknown>>
}

interface Asked {
  readonly query?: string
  readonly audience?: string
  readonly at?: string
}

async function ask(identity: Identity, { query = '', audience = gateway(), at = gateway() }: Asked): Promise<Answer> {
  const { expectedId } = system.endpoint
  const response = await identity.call(`${at}/v1/receipt${query}`, { audience, expectedId })
  const { status, headers } = response
  return { status, headers, body: await readJsonBody(response, 1024 * 1024) }
}

const queryOf = (entry: string) => `?${new URLSearchParams({ entry }).toString()}`
const receiptOf = (identity: Identity, entry: string) => ask(identity, { query: queryOf(entry) })
const codeOf = ({ headers }: Answer) => headers['doorward-code']

/** What a caller can tell two answers apart by: everything but the name of the decision about the asking. */
function seen({ status, headers, body }: Answer): unknown {
  const { date: _date, 'doorward-decision': decision, ...rest } = headers
  return { status, rest, body: JSON.stringify(body).replaceAll(String(decision), 'ID') }
}

/** The decision that an answer names. */
async function recorded({ headers }: Answer): Promise<LoggedEntry['entry']['body']> {
  const [, index] = String(headers['doorward-decision']).split('#')
  const range = { from: Number(index), to: Number(index) + 1, unsigned: true }
  for await (const { entry } of readEntries(system.gateway.record.folder, range)) return entry.body
  throw new Error('not in the record')
}

/** Then no checkpoint is published. Whoever publishes one now has the lock for a moment. */
async function lockSecondCopy(): Promise<WriterLock> {
  const path = join(system.folders.keyDir, `${encodeURIComponent(origin())}.checkpoint.lock`)
  for (let tries = 0; tries < 200; tries++) {
    const lock = tryLock(path)
    if (lock !== null) return lock
    await sleep(10)
  }
  throw new Error('the second copy can be locked')
}

describe('a receipt', () => {
  test('proves to its caller that the call stands in the record, and shows nothing of it', async () => {
    const entry = await called(agent)
    const answer = await receiptOf(agent, entry)
    equal(answer.status, 200, JSON.stringify(answer.body))
    const proven = openLogProof(sha256, String(answer.body['proof']), verifier)
    deepEqual([answer.body['entry'], `${proven.origin}#${proven.index}`, proven.entry], [entry, entry, null])
    const { decision, action, caller, resource } = await recorded(answer)
    deepEqual([decision, action, caller], ['allow', 'GET', agent.id.uri])
    deepEqual(resource, { server: 'gateway', kind: 'route', name: '/v1/receipt' })
  })

  test('is given for a denial, too', async () => {
    equal((await receiptOf(agent, await called(agent, 'write_note'))).status, 200)
  })

  test('is not given for a call of another, nor is it told that there was one', async () => {
    const entry = await called(agent)
    const index = entry.split('#')[1] ?? ''
    const asked = {
      'of another': entry,
      'not there yet': `${origin()}#99999999`,
      'about nobody': `${origin()}#0`,
      'of another log': `evil.example/gateway/main#${index}`,
      'of a longer name': `${origin()}#${index}#${index}`,
      'not a number': `${origin()}#${index}e0`,
      'a path': `${origin()}#../../../checkpoint`,
      'too large': `${origin()}#9007199254740993`,
      'not an id': 'x',
      empty: '',
    }
    const expected = seen(await receiptOf(other, asked['of another']))
    for (const [what, id] of Object.entries(asked)) {
      const answer = await receiptOf(other, id)
      deepEqual([answer.status, codeOf(answer)], [404, 'resource_unknown'], what)
      deepEqual(seen(answer), expected, what)
      const { decision, caller } = await recorded(answer)
      deepEqual([decision, caller], ['allow', other.id.uri], what)
    }
    equal((await receiptOf(agent, entry)).status, 200)
  })

  test('is not given before a checkpoint covers the call, and the answer is that of no call at all', async () => {
    const unknown = seen(await receiptOf(agent, `${origin()}#99999999`))
    const lock = await lockSecondCopy()
    const { entry, early } = await (async () => {
      const made = await called(agent)
      return { entry: made, early: await receiptOf(agent, made) }
    })().finally(() => lock.release())
    deepEqual(seen(early), unknown)
    for (let waited = 0; (await receiptOf(agent, entry)).status !== 200; waited++) {
      ok(waited < 100, 'a receipt once there is a checkpoint')
      await sleep(100)
    }
  })

  test('is asked for with an entry, once, and with nothing else', async () => {
    const query = queryOf(await called(agent))
    for (const wrong of ['', `${query}&${query.slice(1)}`, `${query}&payload=true`, `${query}&index=1`])
      equal(codeOf(await ask(agent, { query: wrong })), 'request_invalid', wrong)
  })

  test('is not given to a token for a server, or for operators', async () => {
    const query = queryOf(await called(agent))
    for (const audience of [system.endpoint.audience, `${gateway()}/admin`])
      equal(codeOf(await ask(agent, { query, audience })), 'token_audience', audience)
  })

  test('is not on the listener of operators', async () => {
    const { host, port } = system.gateway.addresses.admin
    const query = queryOf(await called(agent))
    const answer = await ask(agent, { query, audience: `${gateway()}/admin`, at: `https://${host}:${port}` })
    equal(codeOf(answer), 'path_unknown')
  })
})

describe('a program', () => {
  const wanted = (decision: string) => ({
    gateway: gateway(),
    expectedId: system.endpoint.expectedId,
    decision,
    verifierKey: system.gateway.record.verifierKey,
  })

  test('fetches the receipt of its call and believes it with a pinned key', async () => {
    const decision = await called(agent)
    const { origin: log, index, text } = await agent.receipt(wanted(decision))
    equal(`${log}#${index}`, decision)
    equal(openLogProof(sha256, text, verifier).index, index)
  })

  test('has none of a call of another, and believes none with another key', async () => {
    const decision = await called(agent)
    await rejects(other.receipt(wanted(decision)), (error) => isDoorwardError(error, 'resource_unknown'))
    const foreign = wanted(decision).verifierKey.replace(/\+[0-9a-f]{8}\+/, '+00000000+')
    await rejects(agent.receipt({ ...wanted(decision), verifierKey: foreign }), (error) =>
      isDoorwardError(error, 'vkey_malformed'),
    )
  })
})
