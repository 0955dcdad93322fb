/** What a token narrows, and a call of several parts: each is asked for by itself, and one denial denies all. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { DecisionRequest, Verdict } from '@doorward/core'
import { isDenial } from '@doorward/enforcement'
import type { DecisionPort, Identified, Inbound } from '@doorward/enforcement'
import { authorize, couldCall, couldCallSome } from '../../../packages/enforcement/src/authorize.ts'
import { classify } from '../../../packages/enforcement/src/classify.ts'
import type { Call } from '../../../packages/enforcement/src/classify.ts'
import { caller } from '../../contract/decision-requests.ts'

const now = epochMillis(1_800_000_000_999)
const version = { digest: 'd', sequence: 3 }
const allow: Verdict = { effect: 'allow', policies: ['p'], obligations: [], version }
const action = { name: 'tools/call', group: 'write' } as const
const resource = { server: 'files', kind: 'tool', name: 'read' } as const
const inbound = { connection: { remoteAddress: '10.1.2.3' } } as Inbound

function decisions(denied: (asked: DecisionRequest) => boolean = () => false): DecisionPort {
  const no: Verdict = { effect: 'deny', reason: 'none', policies: [], explanation: 'no', wouldAllow: null, version }
  return {
    decide: async (asked) => (denied(asked) ? no : allow),
    list: async () => 'allow',
    some: async () => 'allow',
  }
}

function narrowedTo(scope: readonly string[] | undefined): Identified {
  const principal = caller('a', ['r'])
  return { principal: scope === undefined ? principal : { ...principal, scope }, inbound } as Identified
}

async function answer(scope: readonly string[] | undefined, parts?: Call<string>['parts'], port = decisions()) {
  const call: Call<string> = {
    action,
    resource,
    args: {},
    rpcId: 7,
    detail: 'x',
    ...(parts === undefined ? {} : { parts }),
  }
  const classified = classify(narrowedTo(scope), new Uint8Array(), () => call)
  assert(!isDenial(classified))
  const result = await authorize(classified, port, now)
  return isDenial(result) ? result.code : 'allowed'
}

const rows: readonly (readonly [readonly string[] | undefined, boolean])[] = [
  [undefined, true],
  [['tools/call:files/read'], true],
  [['write:files/*'], true],
  [['read:orders/*', 'tools/call:files/re*'], true],
  [['tools/call:files/write'], false],
  [['tools/call:orders/read'], false],
  [['read'], false],
  [[], false],
]

test('a token that is narrowed allows what its scope covers, of what policy allows', async () => {
  for (const [scope, covers] of rows) {
    const text = scope?.join(' ')
    assert.equal(await answer(scope), covers ? 'allowed' : 'scope_insufficient', text)
    const listed = await couldCall(narrowedTo(scope), { action, resource }, decisions(), now)
    assert.equal(listed, covers, text)
  }
  const some = (scope: readonly string[]) =>
    couldCallSome(narrowedTo(scope), { action, server: 'files', kind: 'tool' }, decisions(), now)
  assert.deepEqual([await some(['tools/call:files/x']), await some(['tools/call:orders/x'])], [true, false])
})

test('what policy denies no part of the scope allows, and every part of a call is asked for', async () => {
  const other = { action, resource: { ...resource, name: 'write' } } as const
  const parts = [other]
  const noWrite = decisions((asked) => asked.resource.name === 'write')
  assert.equal(
    (await answer(
      ['write:files/*'],
      undefined,
      decisions(() => true),
    )) === 'allowed',
    false,
  )
  assert.equal(await answer(undefined, parts), 'allowed')
  assert.notEqual(await answer(undefined, parts, noWrite), 'allowed')
  assert.equal(await answer(['tools/call:files/read'], parts), 'scope_insufficient')
})

test('what policy denies as a whole, or cannot say, is not there to be listed', async () => {
  const asked = { action, server: 'files', kind: 'tool' } as const
  const by = (some: DecisionPort['some']) => couldCallSome(narrowedTo(undefined), asked, { ...decisions(), some }, now)
  assert.equal(await by(async () => 'allow'), true)
  assert.equal(await by(async () => 'deny'), false)
  assert.equal(await by(() => Promise.reject(new Error('gone'))), false)
})

test('a call whose whole is denied is denied, whatever its parts are', async () => {
  const part = { action, resource: { ...resource, name: 'other' } } as const
  const noWhole = decisions((asked) => asked.resource.name === 'read')
  assert.notEqual(await answer(undefined, [part], noWhole), 'allowed')
})
