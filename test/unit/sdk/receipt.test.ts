/** What a program makes of whatever a gateway answers when it is asked for a receipt. */

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import {
  encodeLeaf,
  encodePayload,
  encodeProofExtra,
  epochMillis,
  formatLogProof,
  formatVerifierKey,
  isDoorwardError,
  leafHash,
  parseSpiffeId,
  signCheckpoint,
  verifierKey,
} from '@doorward/core'
import { fetchReceipt, generateEd25519, sha256 } from '@doorward/sdk'
import type { CallOptions, CallResponse, SignedFetch } from '@doorward/sdk'

const ORIGIN = 'x.example/gateway/main'
const expectedId = parseSpiffeId('spiffe://x.example/doorward/gateway/main')
const key = await generateEd25519()
const vkey = verifierKey(sha256, ORIGIN, key.publicKey)

/** The proof of the one entry of a log. */
async function proof(): Promise<string> {
  const [salt, time] = [new Uint8Array(16), epochMillis(7)]
  const leaf = encodeLeaf(sha256, { time, salt, payload: encodePayload('decision', time, {}) })
  const signer = { name: ORIGIN, keyId: vkey.keyId, key: key.signKey }
  const { note } = await signCheckpoint({ origin: ORIGIN, size: 1, root: leafHash(sha256, leaf) }, signer)
  return formatLogProof({ index: 0, hashes: [], checkpoint: note, extra: encodeProofExtra({ leaf, opening: null }) })
}

interface Call extends CallOptions {
  readonly url: string
}

/** A gateway that answers so, and what it was asked. */
function answering(status: number, body: string): SignedFetch & { readonly calls: Call[] } {
  const calls: Call[] = []
  return {
    calls,
    call: async (url, options) => {
      calls.push({ url: String(url), ...options })
      const stream = Readable.from([Buffer.from(body)]) as CallResponse['body']
      return { status, headers: { 'doorward-code': 'resource_unknown' }, rawHeaders: [], body: stream }
    },
  }
}

const ask = (fetch: SignedFetch, more: { readonly decision?: string; readonly verifierKey?: string } = {}) =>
  fetchReceipt(fetch, {
    gateway: 'https://gateway.example',
    expectedId,
    decision: `${ORIGIN}#0`,
    verifierKey: formatVerifierKey(vkey),
    ...more,
  })
const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)

test('the gateway is asked for one entry, with a token for itself', async () => {
  const fetch = answering(200, JSON.stringify({ proof: await proof() }))
  const { origin, index, time } = await ask(fetch)
  assert.deepEqual([origin, index, time], [ORIGIN, 0, 7])
  const [call] = fetch.calls
  assert.equal(call?.url, 'https://gateway.example/v1/receipt?entry=x.example%2Fgateway%2Fmain%230')
  assert.deepEqual([call.audience, call.expectedId.uri], ['https://gateway.example', expectedId.uri])
})

test('nothing else than a proof of that entry by the pinned key is believed', async () => {
  const text = await proof()
  const right = JSON.stringify({ proof: text })
  await assert.rejects(ask(answering(200, right), { decision: `${ORIGIN}#1` }), coded('receipt_foreign'))
  const other = await generateEd25519()
  const foreign = formatVerifierKey(verifierKey(sha256, ORIGIN, other.publicKey))
  await assert.rejects(ask(answering(200, right), { verifierKey: foreign }), coded('note_unverified'))
  const changed = JSON.stringify({ proof: text.replace('index 0', 'index 1') })
  await assert.rejects(ask(answering(200, changed)), coded('proof_invalid'))
  for (const body of ['{}', '{"proof":7}', '[]', 'no json'])
    await assert.rejects(ask(answering(200, body)), coded('response_invalid'), body)
  await assert.rejects(ask(answering(200, '{"proof":"x"}')), coded('proof_malformed'))
  await assert.rejects(ask(answering(404, right)), coded('resource_unknown'))
})

test('without a key nothing is asked', async () => {
  const fetch = answering(200, '{}')
  await assert.rejects(ask(fetch, { verifierKey: 'x' }), coded('vkey_malformed'))
  assert.deepEqual(fetch.calls, [])
})
