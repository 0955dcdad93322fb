import { deepEqual, equal, ok } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DISCOVER_REQUEST, LEGACY_VERSIONS, MODERN_VERSIONS, utf8 } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { ServerVersions } from '../../../packages/server/src/transports/server-versions.ts'
import type { DiscoveryAnswer } from '../../../packages/server/src/transports/server-versions.ts'

class Stage {
  answer: () => Promise<DiscoveryAnswer> = () => Promise.resolve(said({ supportedVersions: MODERN_VERSIONS }))
  asked = 0
  now = 0
  readonly acts: JsonObject[] = []
  recording = true
  readonly versions = new ServerVersions({
    server: 'files',
    ask: () => {
      this.asked++
      return this.answer()
    },
    recordAct: async (body) => {
      if (!this.recording) throw new Error('no record')
      this.acts.push(body)
    },
    monotonic: () => this.now,
  })

  /** What a call meets that waits for it. */
  async known(): Promise<readonly string[] | string> {
    const known = await this.versions.current()
    return 'denied' in known ? known.code : known
  }
}

function said(result: object, status = 200): DiscoveryAnswer {
  return { status, message: utf8(JSON.stringify({ jsonrpc: '2.0', id: 'doorward-discover', result })) }
}

const failed = (code: number, data: object): DiscoveryAnswer => {
  const error = { code, message: 'no', data }
  return { status: 400, message: utf8(JSON.stringify({ jsonrpc: '2.0', id: 'doorward-discover', error })) }
}

describe('what a server speaks', () => {
  test('is asked once for all who wait, on record before, and kept for five minutes', async () => {
    const stage = new Stage()
    deepEqual(await Promise.all([stage.known(), stage.known()]), [MODERN_VERSIONS, MODERN_VERSIONS])
    equal(stage.asked, 1)
    deepEqual(
      stage.acts.map(({ event }) => event),
      ['server.discover', 'server.versions'],
    )
    stage.now = 299_999
    deepEqual(stage.versions.current(), MODERN_VERSIONS)
    equal(stage.asked, 1)
  })

  test('is asked for again beside the calls that go on with what is known', async () => {
    const stage = new Stage()
    await stage.known()
    stage.now = 300_001
    stage.answer = () => Promise.reject(new Error('gone'))
    deepEqual(stage.versions.current(), MODERN_VERSIONS)
    await new Promise((resolve) => setImmediate(resolve))
    equal(stage.asked, 2)
    deepEqual(await stage.known(), MODERN_VERSIONS)
  })

  test('is asked for again at once when the server contradicts it', async () => {
    const stage = new Stage()
    await stage.known()
    stage.answer = () => Promise.resolve(said({ supportedVersions: [] }))
    stage.versions.doubt()
    await stage.known()
    await new Promise((resolve) => setImmediate(resolve))
    deepEqual(await stage.known(), LEGACY_VERSIONS)
  })

  test('is what both know, newest first, whichever way the server says it', async () => {
    for (const answer of [
      said({ supportedVersions: ['2027-01-01', '2025-11-25', '2026-07-28'] }),
      failed(-32022, { supported: ['2025-11-25', '2026-07-28'], requested: 'x' }),
    ]) {
      const stage = new Stage()
      stage.answer = () => Promise.resolve(answer)
      deepEqual(await stage.known(), ['2026-07-28', '2025-11-25'])
    }
  })

  test('is the legacy era where the answer is none of the modern one', async () => {
    const none: readonly DiscoveryAnswer[] = [
      { status: 400, message: utf8('no session') },
      { status: 404, message: null },
      { status: 500, message: utf8('{}') },
      { status: 200, message: utf8('{"jsonrpc":"2.0","id":"other","result":{"supportedVersions":["2026-07-28"]}}') },
      {
        status: 200,
        message: utf8('{"jsonrpc":"2.0","id":"doorward-discover","error":{"code":-32601,"message":"no"}}'),
      },
      said({ supportedVersions: '2026-07-28' }),
      said({ supportedVersions: ['2027-01-01'] }),
      said({}),
    ]
    for (const answer of none) {
      const stage = new Stage()
      stage.answer = () => Promise.resolve(answer)
      equal(await stage.known(), LEGACY_VERSIONS, JSON.stringify(answer))
    }
  })

  test('is not known where nobody answers or the record does not: it is told at once, and asked again after five seconds', async () => {
    for (const [code, spoil] of [
      ['upstream_unavailable', (stage: Stage) => (stage.answer = () => Promise.reject(new Error('refused')))],
      [
        'upstream_unavailable',
        (stage: Stage) => (stage.answer = () => Promise.resolve({ status: 503, message: null })),
      ],
      ['record_unavailable', (stage: Stage) => (stage.recording = false)],
    ] as const) {
      const stage = new Stage()
      spoil(stage)
      equal(await stage.known(), code)
      const asked = stage.asked
      ok(!(stage.versions.current() instanceof Promise))
      equal(stage.asked, asked)
      if (code === 'record_unavailable') equal(asked, 0)
      stage.now = 5001
      equal(await stage.known(), code)
    }
  })

  test('tells of a server without tasks only when it has said so', async () => {
    for (const [capabilities, taskless] of [
      [{}, true],
      [{ extensions: {} }, true],
      [{ extensions: { 'io.modelcontextprotocol/tasks': {} } }, false],
    ] as const) {
      const stage = new Stage()
      equal(stage.versions.taskless, false)
      stage.answer = () => Promise.resolve(said({ supportedVersions: MODERN_VERSIONS, capabilities }))
      await stage.known()
      equal(stage.versions.taskless, taskless)
    }
  })
})

test('the question is the same for every server, and names nobody', () => {
  const { method, params } = JSON.parse(new TextDecoder().decode(DISCOVER_REQUEST)) as {
    method: string
    params: object
  }
  deepEqual([method, Object.keys(params)], ['server/discover', ['_meta']])
})
