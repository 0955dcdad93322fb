/** The vault that the configuration names, asked as every other place that the gateway fetches from. */

import type { VaultSettings } from '../../config/secret-settings.ts'
import { fileSource } from '../../secrets/file-source.ts'
import { VaultSecrets } from '../../secrets/vault-source.ts'
import { Vault } from '../../secrets/vault.ts'
import type { VaultAnswer, VaultAuth, VaultRequest } from '../../secrets/vault.ts'
import { exchangeDocument } from '../../transports/fetch-document.ts'

export interface OpenVault {
  readonly vault: Vault
  readonly secrets: VaultSecrets
}

/** A value of 64 KiB in JSON, and what stands beside it. */
const MAX_ANSWER = 512 * 1024

const monotonic = () => performance.now()

/** Asks nothing yet. */
export function openVault(settings: VaultSettings): OpenVault {
  const { namespace, cacheMilliseconds } = settings
  const exchange = (request: VaultRequest) => askVault(settings, request)
  const vault = new Vault({ exchange, namespace, auth: authOf(settings), monotonic })
  return { vault, secrets: new VaultSecrets({ vault, cacheMilliseconds, monotonic }) }
}

function authOf({ auth }: VaultSettings): VaultAuth {
  if (auth.kind === 'token') return { kind: 'token', token: fileSource(auth.file) }
  return { kind: 'approle', mount: auth.mount, roleId: auth.roleId, secretId: fileSource(auth.secretIdFile) }
}

async function askVault(
  { url, ca, allowPrivateAddresses }: VaultSettings,
  { method, path, headers, body }: VaultRequest,
): Promise<VaultAnswer> {
  const answer = await exchangeDocument(
    new URL(`${url}/v1/${path}`),
    { method, headers, maxBytes: MAX_ANSWER, ...(body === undefined ? {} : { body }) },
    { allowPrivateAddresses, ...(ca === null ? {} : { ca }) },
  )
  const retryAfter = answer.headers['retry-after'] ?? ''
  const retryAfterSeconds = /^\d{1,5}$/.test(retryAfter) ? Number(retryAfter) : null
  return { status: answer.status, retryAfterSeconds, body: answer.body }
}
