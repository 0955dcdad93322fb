/** Where OAuth clients of people may be answered (RFC 6749 §3.1.2, RFC 8252, RFC 9700 §4.1). */

const MAX_URI = 1024
/** Schemes that a browser runs, reads or shows itself, and those that are no application's own. */
const REFUSED: ReadonlySet<string> = new Set([
  'about:',
  'blob:',
  'data:',
  'file:',
  'filesystem:',
  'ftp:',
  'javascript:',
  'mailto:',
  'vbscript:',
  'view-source:',
  'ws:',
  'wss:',
])
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])

function isLoopback(url: URL): boolean {
  return url.protocol === 'http:' && LOOPBACK.has(url.hostname)
}

/** Whether a client may name it at all: https, plain HTTP of the person's own machine, or a scheme of an application (RFC 8252 §7). */
export function isRedirectUri(text: string): boolean {
  if (text.length > MAX_URI || !URL.canParse(text) || /[^\x21-\x7e]/.test(text) || text.includes('#')) return false
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || REFUSED.has(url.protocol)) return false
  return url.protocol === 'http:' ? isLoopback(url) : true
}

/** Exactly one of the client's, but for the port on the person's own machine (RFC 8252 §7.3, RFC 9700 §4.1.3). */
export function answersAt(redirectUris: readonly string[], given: string): boolean {
  if (!isRedirectUri(given)) return false
  if (redirectUris.includes(given)) return true
  const url = new URL(given)
  // What is written must be what is meant: nothing is compared that a parser has made nicer.
  if (!isLoopback(url) || url.href !== given) return false
  return redirectUris.some((one) => withoutPort(one) === withoutPort(given))
}

function withoutPort(text: string): string | null {
  const url = new URL(text)
  if (!isLoopback(url)) return null
  url.port = ''
  return url.href
}

/** Whether the answer reaches the client and nobody else: any program of the machine may listen there (RFC 8252 §8.6). */
export function isOwnPlace(redirectUri: string): boolean {
  return new URL(redirectUri).protocol === 'https:'
}
