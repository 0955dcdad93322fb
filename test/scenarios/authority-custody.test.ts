/** Where the private keys of an authority are, once it has lived: sealed in its custody, and in nothing else that it writes. */

import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fromBase64url } from '@doorward/core'
import { aesGcmSealer, randomBytes } from '@doorward/sdk'
import { openStateFolder } from '../../packages/server/src/secrets/state-folder.ts'
import { makeFolders, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import { joined } from '../fixtures/authority/workload.ts'

const folders = await makeFolders()
after(() => removeFolders(folders))

const kinds = ['p256', 'ed25519']

/** The secret numbers of every signing key in custody, by name. */
async function secretNumbers(): Promise<ReadonlyMap<string, Uint8Array>> {
  const { stateDir, keyDir } = folders
  const keyFile = join(keyDir, 'authority.key')
  const options = { folder: stateDir, kind: 'authority', trustDomain, keyFile, keyOutsideOf: [], random: randomBytes }
  const state = await openStateFolder({ ...options, kind: 'authority' })
  const sealer = aesGcmSealer(state.key, randomBytes)
  const numbers = new Map<string, Uint8Array>([['the key that seals', state.key.reveal()]])
  for (const file of await readdir(join(stateDir, 'keys'))) {
    const name = file.replace(/\.key$/, '')
    const sealed = await readFile(join(stateDir, 'keys', file))
    const opened = await Promise.all(kinds.map((kind) => sealer.open(sealed, `key/${kind}/${name}`).catch(() => null)))
    const plain = opened.find((one) => one !== null)
    assert.ok(plain, name)
    const { d = '' } = createPrivateKey({ key: Buffer.from(plain), format: 'der', type: 'pkcs8' }).export({
      format: 'jwk',
    })
    numbers.set(name, fromBase64url(d)!)
  }
  state.release()
  return numbers
}

/** Every way in which a number may have been written down. */
function spellings(number: Uint8Array): readonly (Buffer | string)[] {
  const bytes = Buffer.from(number)
  // The end of a base64 text depends on what follows it.
  const texts = [bytes.toString('base64url'), bytes.toString('base64')].map((text) => text.slice(0, 40))
  return [bytes, bytes.toString('hex'), bytes.toString('hex').toUpperCase(), ...texts]
}

test('CA-6: no private key is in the store, on the record, in any other file or in what the authority says', async () => {
  const authority = await startTestAuthority({ folders })
  await joined(authority, `spiffe://${trustDomain}/agent/one`)
  await authority.stop()
  const later = await startTestAuthority({ folders, offset: 5.9 * 86_400_000 })
  await later.stop()

  const numbers = await secretNumbers()
  const names = [...numbers.keys()].map((name) => name.replace(/-.*$/, ''))
  for (const kind of ['anchor', 'token', 'jwt', 'log'])
    assert.ok(names.includes(kind), `${kind} among ${names.join(', ')}`)
  const entries = await readdir(folders.stateDir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  for (const what of ['authority.db', 'record'])
    assert.ok(
      files.some((file) => file.includes(what)),
      what,
    )
  const written: [string, Buffer][] = [['what was said', Buffer.from(JSON.stringify([authority.events, later.events]))]]
  for (const file of files) written.push([file, await readFile(file)])
  for (const [name, number] of numbers)
    for (const spelling of spellings(number))
      for (const [place, content] of written) assert.ok(!content.includes(spelling), `${name} in ${place}`)
})
