/** Which headers an operator may have passed on between callers and plain HTTP services. */

/** Credentials, connections, places and persons: they are between us and one side, whatever an operator lists. */
const NEVER =
  /^(?:authorization|www-authenticate|authentication-info|cookie2?|set-cookie2?|dpop|host|origin|referer|via|forwarded|location|refresh|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-length|content-encoding|accept-encoding|traceparent|tracestate|baggage|x-real-ip|x-http-method.*|x-method-override|x-original-.*|x-rewrite-.*|x-forwarded.*|x-client-.*|x-ssl-.*|x-spiffe-.*|proxy-.*|sec-.*|access-control-.*|strict-transport-security|content-security-policy.*|x-frame-options|x-content-type-options|x-xss-protection|mcp-.*|doorward-.*)$/

const NAME = /^[a-z0-9][a-z0-9-]{0,63}$/

/** What keeps a header from being listed; null when nothing does. */
export function headerNameProblem(name: string): string | null {
  if (!NAME.test(name)) return 'not a header name in lowercase'
  return NEVER.test(name) ? 'this header is never passed on' : null
}
