import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { systemRuntime } from '@doorward/sdk'
import type { AuthorityCalls } from '../../../packages/sdk/src/authority-calls.ts'
import { TrustClient } from '../../../packages/sdk/src/trust-client.ts'
import type { TrustStore } from '../../../packages/sdk/src/trust-store.ts'

/** A client that holds a state, whose stream cannot be opened for that reason; how often it has looked for newer anchors. */
async function rescuesAfter(code: string): Promise<number> {
  const stop = new AbortController()
  let rescues = 0
  let attempts = 0
  const call = async () => {
    if (++attempts === 3) stop.abort()
    throw new DoorwardError(code, 'the stream cannot be opened')
  }
  const client = new TrustClient({
    store: { view: () => ({}) } as Partial<TrustStore> as TrustStore,
    scope: 'callers',
    authority: {
      issuer: 'https://authority.test',
      call,
      failed: () => undefined,
    } as Partial<AuthorityCalls> as AuthorityCalls,
    runtime: { ...systemRuntime, sleep: async () => undefined },
    onProblem: () => undefined,
    rescue: async () => void rescues++,
  })
  await client.run(stop.signal)
  return rescues
}

for (const code of ['server_untrusted', 'connection_lost'])
  test(`RV-6: who cannot follow for ${code} looks for newer anchors: its own or the server's may be gone`, async () => {
    assert.ok((await rescuesAfter(code)) >= 2)
  })

for (const code of ['server_unreachable', 'connection_timeout', 'authority_unready'])
  test(`who cannot follow for ${code} goes on with the anchors it has`, async () => {
    assert.equal(await rescuesAfter(code), 0)
  })
