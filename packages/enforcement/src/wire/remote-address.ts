/** Addresses of peers: one text form, and the key under which they are counted. */

import { isIPv4, isIPv6 } from 'node:net'

/** The address as text; an IPv4-mapped IPv6 address is written as IPv4, a zone index is dropped. */
export function remoteAddressOf(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  const plain = address.split('%', 1)[0] ?? ''
  return plain.startsWith('::ffff:') && plain.includes('.') ? plain.slice('::ffff:'.length) : plain
}

/** What limits per address count: the address itself, or the /64 of an IPv6 address, which one host controls. */
export function addressKey(address: string): string {
  // Asked for every request, and the expression for IPv6 is a long one.
  return address.includes(':') && isIPv6(address) ? prefixOf(address, 4) : address
}

/** What whoever has many addresses usually has: the /24 of an IPv4 address, the /48 of an IPv6 address. */
export function networkKey(address: string): string {
  if (isIPv6(address)) return prefixOf(address, 3)
  return isIPv4(address) ? `${address.split('.').slice(0, 3).join('.')}.0/24` : address
}

/** The first 16-bit groups of an IPv6 address. */
function prefixOf(address: string, count: number): string {
  const [head = '', tail] = address.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return `${groups
    .slice(0, count)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/${16 * count}`
}
