/** What a token is asked for with: on whose behalf, who may act, how narrow; and that one is never given for another. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '@doorward/core'
import { TokenSource } from '../../../packages/sdk/src/token-source.ts'
import type { TokenOptions } from '@doorward/sdk'
import type { CallResponse, Svid } from '@doorward/sdk'
import { Readable } from 'node:stream'

const svid = { fingerprint: 'F' } as Svid
const audience = 'https://worker.test.example:9443'

function endpoint() {
  const asked: Record<string, string>[] = []
  const tokens = new TokenSource({
    monotonic: () => 0,
    post: async (_svid, form) => {
      asked.push(Object.fromEntries(new URLSearchParams(form)))
      const body = JSON.stringify({ access_token: `token-${asked.length}`, token_type: 'Bearer', expires_in: 300 })
      return { status: 200, headers: {}, body: Readable.from([Buffer.from(body)]) } as object as CallResponse
    },
  })
  const token = async (options: TokenOptions = {}) => (await tokens.token({ ...options, svid, audience })).reveal()
  return { asked, tokens, token }
}

test('a token on behalf of a caller is exchanged for the one that it has shown, with what is asked for beside', async () => {
  const { asked, token } = endpoint()
  await token({ onBehalfOf: new Secret('shown'), scope: ['read:files/*', 'write'], mayAct: [] })
  await token({ mayAct: ['spiffe://a/b', 'spiffe://a/c'] })
  await token()
  assert.deepEqual(asked, [
    {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'shown',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      resource: audience,
      scope: 'read:files/* write',
      may_act: 'none',
    },
    { grant_type: 'client_credentials', resource: audience, may_act: 'spiffe://a/b spiffe://a/c' },
    { grant_type: 'client_credentials', resource: audience },
  ])
})

test('a token is kept for the very same wish, and for no other', async () => {
  const { asked, tokens, token } = endpoint()
  const wishes: readonly TokenOptions[] = [
    {},
    { onBehalfOf: new Secret('one') },
    { onBehalfOf: new Secret('two') },
    { onBehalfOf: new Secret('one'), scope: ['read'] },
    { onBehalfOf: new Secret('one'), mayAct: ['read'] },
    { scope: ['read'] },
    { mayAct: ['read'] },
    { mayAct: [] },
  ]
  const first: string[] = []
  for (const wish of wishes) first.push(await token(wish))
  const again: string[] = []
  for (const wish of wishes) again.push(await token(wish))
  assert.deepEqual(again, first)
  assert.equal(new Set(first).size, wishes.length)
  assert.equal(asked.length, wishes.length)
  tokens.forget({ svid, audience })
  await token({ onBehalfOf: new Secret('one') })
  assert.equal(asked.length, wishes.length + 1)
})
