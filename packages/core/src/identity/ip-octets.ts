/** Textual IP addresses as the octets that a certificate holds (RFC 5280 §4.2.1.6). Pure. */

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/
const GROUP = /^[0-9a-fA-F]{1,4}$/

/** Four octets of an IPv4, sixteen of an IPv6 address without zone; null for anything else. */
export function ipOctets(text: string): Uint8Array | null {
  if (IPV4.test(text)) return Uint8Array.from(text.split('.').map(Number))
  return text.includes(':') && text.length <= 45 ? v6Octets(text) : null
}

function v6Octets(text: string): Uint8Array | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head = [], tail = []] = halves.map((half) => groupsOf(half))
  if (head === null || tail === null) return null
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const groups = [...head, ...Array.from({ length: halves.length === 1 ? 0 : missing }, () => 0), ...tail]
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

/** Groups of 16 bits; a final IPv4 address stands for two. */
function groupsOf(half: string): readonly number[] | null {
  if (half === '') return []
  const parts = half.split(':')
  const last = parts.at(-1) ?? ''
  const v4 = IPV4.test(last) ? last.split('.').map(Number) : null
  const hexadecimal = v4 === null ? parts : parts.slice(0, -1)
  if (!hexadecimal.every((part) => GROUP.test(part))) return null
  const groups = hexadecimal.map((part) => Number.parseInt(part, 16))
  if (v4 === null) return groups
  const [a = 0, b = 0, c = 0, d = 0] = v4
  return [...groups, a * 256 + b, c * 256 + d]
}
