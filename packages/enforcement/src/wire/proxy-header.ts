/**
 * The header by which a proxy in front of us says whom a connection is from: PROXY protocol version 2 (haproxy.org,
 * proxy-protocol.txt §2.2). Pure. Version 1 is not spoken: its length is only known at its end.
 */

export const SIGNATURE = new Uint8Array([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])

/** The longest header that is read; two addresses and what proxies add to them. */
export const PROXY_HEADER_BYTES = 536

const FIXED = 16

export type ProxyHeader =
  /** `address` null: the proxy speaks for itself (`LOCAL`). `length`: where the connection's own bytes begin. */
  | { readonly kind: 'header'; readonly address: string | null; readonly length: number }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'problem'; readonly problem: string }

const problem = (text: string): ProxyHeader => ({ kind: 'problem', problem: text })

/** Reads the header at the beginning of the bytes. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  const known = Math.min(bytes.length, SIGNATURE.length)
  for (let i = 0; i < known; i++) if (bytes[i] !== SIGNATURE[i]) return problem('no PROXY header of version 2')
  if (bytes.length < FIXED) return { kind: 'incomplete' }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const length = FIXED + view.getUint16(14)
  if (length > PROXY_HEADER_BYTES) return problem(`a PROXY header of ${length} bytes`)
  const command = view.getUint8(12)
  if (command !== 0x20 && command !== 0x21) return problem('a PROXY version or command that is not known')
  if (bytes.length < length) return { kind: 'incomplete' }
  const local = command === 0x20
  const read = addressAt(view, length)
  if (local) return { kind: 'header', address: null, length }
  if (read === null) return problem('a PROXY header without an address of TCP over IPv4 or IPv6')
  if (!extensionsFit(view, FIXED + read.bytes, length)) return problem('a PROXY header with broken extensions')
  return { kind: 'header', address: read.address, length }
}

/** The source address, and how many bytes both addresses and ports take. */
function addressAt(view: DataView, length: number): { readonly address: string; readonly bytes: number } | null {
  const room = length - FIXED
  switch (view.getUint8(13)) {
    case 0x11: {
      if (room < 12) return null
      const address = Array.from({ length: 4 }, (_, i) => view.getUint8(FIXED + i)).join('.')
      return { address, bytes: 12 }
    }
    case 0x21: {
      if (room < 36) return null
      const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(FIXED + 2 * i))
      return { address: ipv6(groups), bytes: 36 }
    }
    default:
      return null
  }
}

/** An IPv4-mapped address is written as IPv4, as that of a connection is. */
function ipv6(groups: readonly number[]): string {
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  const [high = 0, low = 0] = groups.slice(6)
  if (mapped) return [high >> 8, high & 255, low >> 8, low & 255].join('.')
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1)
}

/** Type, length and value, one after the other to the very end. */
function extensionsFit(view: DataView, from: number, end: number): boolean {
  let at = from
  while (at + 3 <= end) at += 3 + view.getUint16(at + 1)
  return at === end
}
