/** Which headers pass a sidecar: none of one hop, no credentials, none by which somebody could be taken for another. */

import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

/** RFC 9110 §7.6.1, and what a sender sets itself. */
const HOP =
  /^(?:connection|proxy-connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|host|expect)$/
/**
 * The principal alone says who calls; what else programs are known to take for that word is nobody's to write. No list of such
 * names is whole: a program has to go by the assertion.
 */
const NAMING =
  /^(?:(?:x-)?doorward-.*|forwarded|x-forwarded-.*|x-real-ip|(?:x-|true-|x-cluster-)client-ip|(?:x-)?remote-(?:user|addr|name|groups|email)|(?:x-)?(?:ssl|tls)-.*|(?:x-)?client-(?:cert|dn|verify).*|x-auth-.*|x-authenticated-.*|x-webauth-.*|x-user.*|x-proxy-user)$/
/** The same, as platforms and gateways call them. */
const PLATFORM =
  /^(?:x-goog-.*|x-amzn-oidc-.*|x-ms-client-principal.*|x-ms-token-.*|cf-access-.*|cf-connecting-ip.*|x-consumer-.*)$/
/** Credentials, and what makes another request of a judged one. */
const WITHHELD =
  /^(?:authorization|proxy-authorization|cookie|dpop|x-api-key|x-access-token|private-token|x-http-method.*|x-method-override|x-original-.*|x-rewrite-.*)$/

function kept(headers: IncomingHttpHeaders, leaves: (name: string) => boolean): OutgoingHttpHeaders {
  // What a sender names there is of one hop too (RFC 9110 §7.6.1).
  const named = (headers.connection ?? '').toLowerCase().split(',')
  const hops = new Set(named.map((name) => name.trim()))
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name, value]) => value !== undefined && !HOP.test(name) && !hops.has(name) && !leaves(name),
    ),
  )
}

/** Of a request, either way: for the program behind, or for the workload that it calls. */
export function requestHeaders(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return kept(headers, (name) => [NAMING, PLATFORM, WITHHELD].some((family) => family.test(name)))
}

/** Of an answer of the program, for the caller: ours are not the program's to write. */
export function headersOfProgram(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return kept(headers, (name) => /^(?:x-)?doorward-/.test(name))
}

/** Of an answer of a callee, for the program: its decision and its code too. */
export function headersOfPeer(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return kept(headers, () => false)
}
