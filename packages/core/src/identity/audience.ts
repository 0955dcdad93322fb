/** Resource identifiers by which a workload that is called has its callers ask for tokens (RFC 8707, RFC 9728). */

import { readIpAddress } from './address-text.ts'

const URL_FORM = /^https:\/\/([^/:[\]]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?((?:\/[A-Za-z0-9._~-]+)*)$/
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** In characters. */
export const audienceLength = 512

/**
 * True for an https URL in its one spelling: lowercase host, no port 443, no query, no fragment, no user, no final slash, and
 * no segment that another reader could resolve. Audiences are compared by their bytes.
 */
export function isAudienceUrl(text: string): boolean {
  const match = text.length <= audienceLength ? URL_FORM.exec(text) : null
  if (match === null) return false
  const [, host = '', port, path = ''] = match
  if (port === '443' || Number(port ?? 1) > 65_535) return false
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return false
  return host.startsWith('[') ? isOwnForm(host.slice(1, -1)) : isHost(host)
}

function isOwnForm(address: string): boolean {
  return readIpAddress(address) === address
}

function isHost(host: string): boolean {
  if (/^[0-9.]+$/.test(host)) return isOwnForm(host)
  return host.length <= 253 && host.split('.').every((label) => LABEL.test(label))
}
