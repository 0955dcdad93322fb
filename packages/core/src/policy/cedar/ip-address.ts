/** Cedar's `ipaddr`: one address or a range in CIDR notation, IPv4 or IPv6 (Cedar reference, extension types). */

import { EvaluationError } from './evaluation-error.ts'

const MOST_CHARACTERS = 43
const [POINT, ZERO, NINE] = [0x2e, 0x30, 0x39]
const GROUP = /^[0-9a-fA-F]{1,4}$/
const PREFIX = /^(?:0|[1-9]\d{0,2})$/

export class IpAddress {
  readonly typeName = 'ipaddr'
  readonly #bits: 32 | 128
  /** A number below 2^32 for IPv4: that is looked at for every call. */
  readonly #address: number | bigint
  readonly #prefix: number

  private constructor(address: number | bigint, prefix: number) {
    this.#bits = bitsOf(address)
    this.#address = address
    this.#prefix = prefix
  }

  /** Throws `EvaluationError` for anything but one address with at most a prefix length. IPv4 inside IPv6 is not taken. */
  static parse(text: string): IpAddress {
    const slash = text.indexOf('/')
    const address = slash < 0 ? text : text.slice(0, slash)
    const four = text.length > MOST_CHARACTERS ? null : readFour(address)
    const value = four ?? (text.length > MOST_CHARACTERS ? null : readSix(address))
    if (value === null) throw new EvaluationError('not an IP address')
    const bits = bitsOf(value)
    return new IpAddress(value, slash < 0 ? bits : readPrefix(text.slice(slash + 1), bits))
  }

  isIpv4(): boolean {
    return this.#bits === 32
  }

  isLoopback(): boolean {
    return this.#bits === 32 ? this.#within(0x7f000000, 8) : this.#within(1n, 128)
  }

  isMulticast(): boolean {
    return this.#bits === 32 ? this.#within(0xe0000000, 4) : this.#within(0xffn << 120n, 8)
  }

  isInRange(range: IpAddress): boolean {
    return this.#bits === range.#bits && this.#within(range.#address, range.#prefix)
  }

  equals(other: unknown): boolean {
    return (
      other instanceof IpAddress &&
      other.#bits === this.#bits &&
      other.#address === this.#address &&
      other.#prefix === this.#prefix
    )
  }

  #within(address: number | bigint, prefix: number): boolean {
    if (this.#prefix < prefix) return false
    const own = this.#address
    if (typeof own === 'bigint' || typeof address === 'bigint') {
      const rest = BigInt(this.#bits - prefix)
      return BigInt(own) >> rest === BigInt(address) >> rest
    }
    // A shift by 32 would be none at all.
    return prefix === 0 || own >>> (32 - prefix) === address >>> (32 - prefix)
  }
}

function bitsOf(address: number | bigint): 32 | 128 {
  return typeof address === 'number' ? 32 : 128
}

/** Four numbers up to 255 without leading zeros. Read for every call, so without a regular expression. */
function readFour(text: string): number | null {
  let [address, part, points] = [0, -1, 0]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === POINT) {
      if (part < 0 || ++points > 3) return null
      address = address * 256 + part
      part = -1
    } else {
      if (code < ZERO || code > NINE || part === 0) return null
      part = (part < 0 ? 0 : part * 10) + code - ZERO
      if (part > 255) return null
    }
  }
  return points === 3 && part >= 0 ? address * 256 + part : null
}

function readSix(text: string): bigint | null {
  const halves = text.split('::')
  if (halves.length > 2 || text.includes('.')) return null
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const groups = [...(head ?? []), ...(tail ?? [])]
  // A double colon stands for one group at least.
  const missing = 8 - groups.length
  if (tail === undefined ? missing !== 0 : missing < 1) return null
  if (!groups.every((group) => GROUP.test(group))) return null
  const all = [...(head ?? []), ...Array.from({ length: missing }, () => '0'), ...(tail ?? [])]
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n)
}

function readPrefix(text: string, bits: 32 | 128): number {
  const prefix = PREFIX.test(text) ? Number(text) : Number.NaN
  if (!(prefix <= bits)) throw new EvaluationError('not a prefix length')
  return prefix
}
