/** Networks in CIDR form, and the key under which an address is counted. */

import { BlockList, isIP, isIPv4 } from 'node:net'

export interface Network {
  readonly text: string
  readonly contains: (address: string) => boolean
  readonly prefix: number
}

/** `192.0.2.0/24` or `2001:db8::/32`; null when it is not one. */
export function readNetwork(text: string): Network | null {
  const [address = '', bits = '', ...rest] = text.split('/')
  const version = isIP(address)
  if (rest.length > 0 || version === 0 || !/^(0|[1-9][0-9]{0,2})$/.test(bits)) return null
  const prefix = Number(bits)
  if (prefix > (version === 4 ? 32 : 128)) return null
  const list = new BlockList()
  list.addSubnet(address, prefix, version === 4 ? 'ipv4' : 'ipv6')
  return { text, prefix, contains: (other) => isIP(other) !== 0 && list.check(other, isIPv4(other) ? 'ipv4' : 'ipv6') }
}

/** An IPv4 address itself; the /64 of an IPv6 address, since one host has all of it. */
export function addressKey(address: string): string {
  if (isIP(address) !== 6) return address
  const [head = '', tail = ''] = address.split('%')[0]!.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === '' ? [] : tail.split(':')
  const groups = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, '').toLowerCase())
    .join(':')}::/64`
}
