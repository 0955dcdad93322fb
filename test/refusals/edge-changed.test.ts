/** The rules of the edge change while callers are there: whatever they would not let in any more is under way no more. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EdgeStage } from '../fixtures/edge-stage.ts'
import type { EdgeStageOptions, Shown } from '../fixtures/edge-stage.ts'
import { modern } from '../fixtures/modern-server.ts'
import { parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

const call = () => modern('tools/call', { params: { name: 'write_note', arguments: { text: 'x' } } })
const codeOf = (answer: RawAnswer) => answer.headers['doorward-code'] ?? answer.status
const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
const initialize = { body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }) }

async function staged(use: (stage: EdgeStage) => Promise<void>, options: EdgeStageOptions = {}) {
  const stage = await EdgeStage.open(options)
  try {
    await use(stage)
  } finally {
    await stage.close()
  }
}

/** A stream that would never end by itself; resolves with what came of it. */
async function stream(stage: EdgeStage, shown: Shown = {}): Promise<{ readonly ended: Promise<string> }> {
  const listen = modern('subscriptions/listen', { params: { notifications: { toolsListChanged: true } } })
  const [socket, request] = [await stage.connect(), await stage.request(listen, shown)]
  const begun = Promise.withResolvers<void>()
  const ended = talk(socket, request, (soFar) => {
    if (soFar.includes('event-stream')) begun.resolve()
    return soFar.endsWith('0\r\n\r\n')
  }).finally(() => socket.destroy())
  await Promise.race([begun.promise, ended])
  return { ended }
}

const bearer: Shown = { scheme: 'Bearer', claims: { cnf: undefined } }
const changes: readonly (readonly [what: string, Parameters<EdgeStage['change']>[0], EdgeStageOptions?, Shown?])[] = [
  ['a stream ends when its issuer is taken away', { issuers: ['other'] }],
  ['a stream ends when its client is taken away', { clients: new Map([['other', 'other']]) }],
  ['a stream ends when its server is taken away', { servers: new Set(['hidden']) }],
  ['a stream ends when scopes are required', { scopesRequired: true }],
  ['a stream of a bearer token ends when these are refused', { bearer: false }, { edge: { bearer: true } }, bearer],
]

for (const [name, change, options, shown] of changes) {
  test(name, () =>
    staged(async (stage) => {
      const { ended } = await stream(stage, shown)
      equal(stage.gateway.pipeline.open.size, 1)
      await stage.change({ origins: ['https://page.test.example'] })
      equal(stage.gateway.pipeline.open.size, 1, 'what it does not hang on ends nothing')
      const reached = stage.tap.reached.length
      await stage.change(change)
      ok((await Promise.race([ended, sleep(20_000).then(() => 'it goes on')])).includes('event-stream'))
      for (let looks = 0; stage.gateway.pipeline.open.size > 0; looks++) {
        ok(looks < 500, 'it is still open')
        await sleep(10)
      }
      ok(codeOf(await stage.send(call(), shown)) !== 200)
      equal(stage.tap.having('write_note').length, 0)
      equal(stage.tap.reached.length, reached)
    }, options),
  )
}

test('a session ends with its issuer, and is not there when the issuer is back', () =>
  staged(async (stage) => {
    const session = (await stage.send(initialize)).headers['mcp-session-id'] ?? ''
    equal(stage.gateway.sessions.size, 1)
    await stage.change({ issuers: ['other'] })
    equal(stage.gateway.sessions.size, 0)
    await stage.change({})
    const ping = { session, body: '{"jsonrpc":"2.0","id":7,"method":"ping"}' }
    equal(codeOf(await stage.send(ping)), 'session_unknown')
    equal((await stage.send(call())).status, 200)
  }))

test('a call that waits while its issuer is taken away goes nowhere', async () => {
  const identified = Promise.withResolvers<void>()
  const watch = { identified: () => identified.resolve(), refused: () => undefined }
  await staged(
    async (stage) => {
      const request = await stage.request(call())
      const socket = await stage.connect()
      const answer = talk(socket, request.slice(0, -10), undefined)
      await identified.promise
      await stage.change({ issuers: ['other'] })
      socket.write(request.slice(-10))
      const told = parseAnswer(await answer)
      socket.destroy()
      deepEqual([told.status, codeOf(told)], [401, 'token_issuer'])
      equal(stage.entryOf(told)?.['code'], 'token_issuer')
      equal(stage.tap.having('write_note').length, 0)
    },
    { gateway: { pipeline: { watch } } },
  )
})

test('a proof that was used before a change is not used again after it', () =>
  staged(async (stage) => {
    const request = await stage.request(call())
    equal((await stage.raw(request)).status, 200)
    await stage.change({ origins: ['https://page.test.example'] })
    equal(codeOf(await stage.raw(request)), 'dpop_replayed')
    equal(stage.tap.having('write_note').length, 1)
  }))
