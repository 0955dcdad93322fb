import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Attack } from './attack.ts'
import { rawCall } from './raw-call.ts'

/**
 * A certificate is public, and worth nothing without its key. The attacker has not got the key: it puts its own into a copy, and
 * signs the copy by itself. Everything else is as it was: name, serial, issuer and times.
 */
export const stolenCertificate: Attack = {
  name: 'stolen certificate',
  holds: "the planner's certificate, no key",
  tries: 'to get a token as the planner',
  run: async ({ shop, planner }) => {
    const [stolen = new Uint8Array()] = planner.identity.material().chain
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource: shop.stock }).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const shown = { chain: [copyOver(Buffer.from(stolen), privateKey)], privateKey }
    return rawCall(`${planner.identity.authorityUrl}/v1/token`, shown, { method: 'POST', headers, body })
  },
}

/** RFC 5280 §4.1: what is signed, the algorithm, the signature. Keys of one kind are equally long. */
function copyOver(certificate: Buffer, key: KeyObject): Buffer {
  const [signed = '', algorithm = ''] = membersOf(certificate)
  const keyOf = (one: KeyObject) => createPublicKey(one).export({ type: 'spki', format: 'der' }).toString('latin1')
  const theirs = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' }).toString('latin1')
  // By a function: a dollar sign among the bytes of a key means nothing.
  const copy = Buffer.from(
    signed.replace(theirs, () => keyOf(key)),
    'latin1',
  )
  const signature = Buffer.concat([Buffer.of(0), sign('sha256', copy, key)])
  return der(0x30, Buffer.concat([copy, Buffer.from(algorithm, 'latin1'), der(0x03, signature)]))
}

/** Members of a DER sequence, each with its head, as Latin-1. */
function membersOf(sequence: Buffer): readonly string[] {
  const members: string[] = []
  for (let at = headOf(sequence, 0).from; at < sequence.length;) {
    const { from, length } = headOf(sequence, at)
    members.push(sequence.toString('latin1', at, from + length))
    at = from + length
  }
  return members
}

function headOf(bytes: Buffer, at: number): { readonly from: number; readonly length: number } {
  const first = bytes[at + 1] ?? 0
  if (first < 0x80) return { from: at + 2, length: first }
  const octets = first - 0x80
  return { from: at + 2 + octets, length: bytes.readUIntBE(at + 2, octets) }
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
