import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { aesGcmSealer, openIdentity, randomBytes, readKeyFile } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'

export async function stateIdOf(folder: string): Promise<string> {
  const text = await readFile(join(folder, 'state.json'), 'utf8')
  return (JSON.parse(text) as { readonly state_id: string }).state_id
}

/** The gateway's own identity, as whoever has its state folder and its key file opens it. The folder alone would not do. */
export async function stolenGateway(state: string, keyFile: string): Promise<Identity> {
  const place = { path: keyFile, outsideOf: [dirname(state)], stateId: await stateIdOf(state) }
  const sealer = aesGcmSealer(await readKeyFile(place), randomBytes)
  const identity = await openIdentity({ folder: join(state, 'identity'), sealer })
  await identity.prepare()
  return identity
}
