/** IP addresses as certificates may name them: strict in (RFC 4291 §2.2), one form out (RFC 5952 §4). */

const OCTET = /^(?:0|[1-9][0-9]{0,2})$/
const GROUP = /^[0-9a-fA-F]{1,4}$/

/**
 * The address in its one form, or null. Leading zeros, zone ids and IPv4 inside IPv6 are refused: programs read them
 * in different ways.
 */
export function readIpAddress(text: string): string | null {
  if (text.length > 39) return null
  return text.includes(':') ? readIpv6(text) : readIpv4(text)
}

function readIpv4(text: string): string | null {
  const octets = text.split('.')
  return octets.length === 4 && octets.every((octet) => OCTET.test(octet) && Number(octet) <= 255) ? text : null
}

function readIpv6(text: string): string | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  if (![...head, ...tail].every((group) => GROUP.test(group))) return null
  const groups = [...head, ...Array<string>(Math.max(0, missing)).fill('0'), ...tail]
  return shortest(groups.map((group) => Number.parseInt(group, 16).toString(16)))
}

/** The longest run of two or more zero groups, the first of several, becomes `::`. */
function shortest(groups: readonly string[]): string {
  let best = { at: 0, length: 1 }
  for (let at = 0; at < groups.length; at++) {
    const end = groups.findIndex((group, i) => i >= at && group !== '0')
    const length = (end < 0 ? groups.length : end) - at
    if (length > best.length) best = { at, length }
  }
  if (best.length === 1) return groups.join(':')
  return `${groups.slice(0, best.at).join(':')}::${groups.slice(best.at + best.length).join(':')}`
}
