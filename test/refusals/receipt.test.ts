/** A receipt is for the caller of the call alone: whatever else is asked for has one and the same answer. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isDoorwardError, openLogProof, parseVerifierKey } from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import { importEd25519, sha256 } from '@doorward/sdk'
import { tryLock } from '../../packages/enforcement/src/record/writer-lock.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let other: Caller
let verifierKey: string
let verifier: NoteVerifier

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  other = await stage.caller('agent/other')
  verifierKey = (await stage.system.run(['audit', 'key', '--log', 'gateway'])).stdout.trim()
  const { name, keyId, publicKey } = parseVerifierKey(sha256, verifierKey)
  verifier = { name, keyId, key: importEd25519(publicKey)! }
})
after(() => stage.close())

const gateway = () => stage.deployment.gateway.publicUrl
const idOf = ({ headers }: RawAnswer) => headers['doorward-decision'] ?? ''

/** A call of the tool, by its id in the record. */
async function called(caller: Caller): Promise<string> {
  return idOf(await stage.passes({ caller }))
}

async function asking(caller: Caller, entry: string | null): Promise<Attempt> {
  const query = entry === null ? '' : `?${new URLSearchParams({ entry }).toString()}`
  const token = await stage.token(caller, gateway())
  return { caller, method: 'GET', target: `/v1/receipt${query}`, token, headers: { 'Mcp-Session-Id': null } }
}

async function answerTo(caller: Caller, entry: string | null): Promise<RawAnswer> {
  const answer = await stage.send(await asking(caller, entry))
  ok(answer !== null)
  return answer
}

/** What a caller can tell two answers apart by: everything but the name of the decision. */
function seen({ status, headers, text }: RawAnswer): unknown {
  const { date: _date, 'doorward-decision': decision, ...rest } = headers
  return { status, rest, body: text.slice(text.indexOf('\r\n\r\n')).replaceAll(decision ?? '-', 'ID') }
}

/** The file that remembers how far the gateway's log has come; no checkpoint is published while it is locked. */
async function secondCopy(): Promise<string> {
  const origin = `${stage.deployment.trustDomain}/gateway/main`
  const home = join(stage.system.folder, 'config', 'doorward')
  const files = await readdir(home, { recursive: true })
  return join(home, files.find((file) => file.endsWith(`${encodeURIComponent(origin)}.checkpoint`)) ?? '')
}

function covered(answer: RawAnswer): RawAnswer | undefined {
  return answer.status === 200 ? answer : undefined
}

describe('a receipt', () => {
  test('proves to its caller that the call stands in the record, and shows nothing of it', async () => {
    const entry = await called(agent)
    const answer = await answerTo(agent, entry)
    equal(answer.status, 200, answer.text)
    // The test's reader takes bytes for characters.
    const text = Buffer.from(answer.text, 'latin1').toString('utf8')
    const { proof } = JSON.parse(text.slice(text.indexOf('{'))) as { readonly proof: string }
    const proven = openLogProof(sha256, proof, verifier)
    deepEqual([`${proven.origin}#${proven.index}`, proven.entry], [entry, null])
    const { entry: recorded } = await stage.entry('gateway', ({ index }) => index === proven.index)
    equal(proven.time, recorded.time)
    const { body } = await stage.decision('gateway', answer)
    deepEqual([body['decision'], body['action'], body['caller']], ['allow', 'GET', agent.id])
  })

  test('is given for a denial, too', async () => {
    const denied = await stage.send({
      caller: agent,
      body: (mark) =>
        JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'write_note', arguments: { mark } },
        }),
    })
    equal(denied?.headers['doorward-code'], 'policy_denied')
    equal((await answerTo(agent, idOf(denied))).status, 200)
  })

  test('is not given for a call of another, nor is it told that there was one', async () => {
    const entry = await called(agent)
    const refusals = new Map<string, RawAnswer>()
    const origin = `${stage.deployment.trustDomain}/gateway/main`
    for (const [what, asked] of Object.entries({
      'of another': entry,
      'not there yet': `${origin}#99999999`,
      'about nobody': `${origin}#0`,
      'of the authority': `${stage.deployment.trustDomain}/authority#1`,
      'of another log': `evil.example/gateway/main#${entry.split('#')[1]}`,
      'no number': `${origin}#1e1`,
      'a path': `${origin}#../../../checkpoint`,
      'too large': `${origin}#9007199254740993`,
      'not an id': 'x',
      empty: '',
    }))
      refusals.set(what, await answerTo(other, asked))
    const expected = seen(refusals.get('of another')!)
    for (const [what, answer] of refusals) {
      deepEqual([answer.status, answer.headers['doorward-code']], [404, 'resource_unknown'], what)
      deepEqual(seen(answer), expected, what)
      const { body } = await stage.decision('gateway', answer)
      deepEqual([body['decision'], body['caller']], ['allow', other.id], what)
    }
    equal((await answerTo(agent, entry)).status, 200)
  })

  test('is not given before a checkpoint covers the call, and the answer is that of no call at all', async () => {
    const unknown = seen(await answerTo(agent, `${stage.deployment.trustDomain}/gateway/main#99999999`))
    const lock = tryLock(`${await secondCopy()}.lock`)
    ok(lock !== null)
    const entry = await called(agent)
    const early = await answerTo(agent, entry).finally(() => lock.release())
    deepEqual(seen(early), unknown)
    equal((await stage.poll(async () => covered(await answerTo(agent, entry)), 'a receipt')).status, 200)
  })

  test('is asked for with an entry, once, and with nothing else', async () => {
    const entry = await called(agent)
    equal((await answerTo(agent, null)).headers['doorward-code'], 'request_invalid')
    const right = await asking(agent, entry)
    for (const more of [`&entry=${encodeURIComponent(entry)}`, '&payload=true', '&index=1'])
      equal(
        (await stage.send({ ...right, target: `${right.target}${more}` }))?.headers['doorward-code'],
        'request_invalid',
      )
  })

  test('is not given to a token for a server, or for operators', async () => {
    const right = await asking(agent, await called(agent))
    for (const audience of [stage.audience(), `${gateway()}/admin`])
      await stage.refuses({ ...right, token: await stage.token(agent, audience) }, 'token_audience')
  })

  test('is not on the listener of operators', async () => {
    const { host, port } = stage.deployment.gateway.listeners.admin
    const right = await asking(agent, await called(agent))
    const token = await stage.token(agent, `${gateway()}/admin`)
    const headers = { ...right.headers, Host: `${host}:${port}` }
    await stage.refuses({ ...right, token, headers, connect: { host, port } }, 'path_unknown')
  })
})

describe('a program', () => {
  const wanted = (decision: string) => ({
    gateway: gateway(),
    expectedId: stage.deployment.gateway.id,
    decision,
    verifierKey,
  })

  test('fetches the receipt of its call and believes it with a pinned key', async () => {
    const decision = await called(agent)
    const { origin, index, text } = await agent.identity.receipt(wanted(decision))
    equal(`${origin}#${index}`, decision)
    equal(openLogProof(sha256, text, verifier).index, index)
  })

  test('has none of a call of another, and believes none with another key', async () => {
    const decision = await called(agent)
    await rejects(other.identity.receipt(wanted(decision)), (error) => isDoorwardError(error, 'resource_unknown'))
    const foreign = (await stage.system.run(['audit', 'key', '--log', 'authority'])).stdout.trim()
    await rejects(agent.identity.receipt({ ...wanted(decision), verifierKey: foreign }), (error) =>
      isDoorwardError(error, 'note_unverified'),
    )
    await rejects(agent.identity.receipt({ ...wanted(decision), verifierKey: 'x' }), (error) =>
      isDoorwardError(error, 'vkey_malformed'),
    )
  })
})

test('the record counts each refusal without a caller by its reason, and no others', () => stage.settle())
