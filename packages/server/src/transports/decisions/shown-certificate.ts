/** The forms in which proxies pass on the certificate that a caller has shown: one leaf, or nothing that is believed. */

const MAX_TEXT = 8192
const PEM = /^-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----\s*$/
/** With those that follow the leaf. */
const FIRST_PEM = /^(-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----)\s*(?:-----BEGIN|$)/

/** DER; null for anything else than one certificate. */
export type ReadCertificate = (text: string) => Uint8Array | null

/** Standard base64 of the DER, in its one spelling. */
export const base64Der: ReadCertificate = (text) => {
  if (text.length > MAX_TEXT) return null
  const der = Buffer.from(text, 'base64')
  return der.length > 0 && der.toString('base64') === text ? new Uint8Array(der) : null
}

/** Percent-escaped PEM of the leaf: `$ssl_client_escaped_cert` of nginx. */
export const escapedPem: ReadCertificate = (text) => {
  const pem = unescaped(text)
  const [, body] = (pem === null ? null : PEM.exec(pem)) ?? []
  return body === undefined ? null : base64Der(body.replaceAll(/\s/g, ''))
}

/** `X-Forwarded-Tls-Client-Cert` of Traefik: base64 of each certificate without line breaks, leaf first, with commas between. */
export const base64List: ReadCertificate = (text) => {
  const [leaf = ''] = (unescaped(text) ?? '').split(',')
  return base64Der(leaf)
}

/**
 * `Cert` of the only element of `X-Forwarded-Client-Cert`, as Envoy writes it: percent-escaped PEM in quotes. Two elements would
 * be of two hops, and nobody says which of them asks.
 */
export const forwardedClientCert: ReadCertificate = (text) => {
  if (text.length > MAX_TEXT || /,(?=(?:[^"]*"[^"]*")*[^"]*$)/.test(text)) return null
  const certs = text.split(';').filter((part) => part.startsWith('Cert='))
  const [, pem] = (certs.length === 1 ? /^Cert="([^"]+)"$/.exec(certs[0] ?? '') : null) ?? []
  return pem === undefined ? null : escapedPem(pem)
}

/** Percent-escaped PEM, leaf first: `certificate` of a peer in Envoy's gRPC. */
export const escapedChain: ReadCertificate = (text) => {
  const [, first] = FIRST_PEM.exec(unescaped(text) ?? '') ?? []
  return first === undefined ? null : escapedPem(first)
}

function unescaped(text: string): string | null {
  try {
    return text.length > MAX_TEXT ? null : decodeURIComponent(text)
  } catch {
    return null
  }
}
