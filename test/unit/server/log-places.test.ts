/** Which logs are on this machine, by what its parts are called. */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { keepVerifierKey, logPlaces, placesHere } from '../../../packages/server/src/apps/log-places.ts'

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'doorward-logs-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const at = (name: string) => join(root, name)
const folders = () => ({ authority: at('authority'), gateway: at('gateway') })
const originsHere = async (names?: { readonly authority: string; readonly gateway: string }) =>
  (await placesHere(logPlaces('acme.example', folders(), names), at('keys'))).map(({ origin }) => origin)

test('logs are named after authority and gateway, and those called main as ever', () => {
  const origins = (...names: Parameters<typeof logPlaces>[2][]) =>
    logPlaces('acme.example', folders(), ...names).map(({ origin }) => origin)
  assert.deepEqual(origins(), ['acme.example/gateway/main', 'acme.example/authority'])
  assert.deepEqual(origins({ authority: 'main', gateway: 'main' }), origins())
  assert.deepEqual(origins({ authority: 'east', gateway: 'eu' }), [
    'acme.example/gateway/eu',
    'acme.example/authority/east',
  ])
})

test('the logs of a machine are those of the parts that have run on it', async () => {
  assert.equal((await originsHere()).length, 2)
  await mkdir(at('authority/record'), { recursive: true })
  assert.deepEqual(await originsHere({ authority: 'east', gateway: 'main' }), ['acme.example/authority/east'])
})

test('a log that was taken away is still one of this machine: its verifier key is kept elsewhere', async () => {
  await mkdir(at('authority/record'), { recursive: true })
  await keepVerifierKey(at('keys'), { origin: 'acme.example/gateway/eu', verifierKey: 'eu+0+A' })
  assert.deepEqual(await originsHere({ authority: 'main', gateway: 'eu' }), [
    'acme.example/gateway/eu',
    'acme.example/authority',
  ])
})
