/** Certificates bent byte by byte and value by value: none that differs from the issued one is accepted. */

import { chainsToAnchor, checkSvidLeaf, readCertificate } from '@doorward/core'
import { importP256, sha256 } from '@doorward/sdk'
import { seeded } from '../fuzz/chance.ts'
import type { Chance } from '../fuzz/chance.ts'
import { mutate } from '../fuzz/mutate.ts'
import {
  extension,
  issue,
  makeAuthority,
  now,
  oid,
  time,
  trustDomain,
  uriNames,
} from '../unit/core/identity-fixture.ts'
import type { Authority } from '../unit/core/identity-fixture.ts'
import { Findings, shown, Tally } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const pieces = [
  uriNames('spiffe://example.org/agent/admin'),
  uriNames('spiffe://example.org/agent/a', 'spiffe://example.org/agent/b'),
  extension('13', true, Uint8Array.of(0x30, 3, 1, 1, 0xff)),
  extension('0f', true, Uint8Array.of(3, 2, 1, 6)),
  oid('551d11'),
  oid('2a8648ce3d040302'),
  time('20501231235959Z'),
  Uint8Array.of(0x30, 0x80),
  Uint8Array.of(0, 0),
  Uint8Array.of(0x84, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0x81, 0x05),
]

async function run({ seed, goOn }: Assignment): Promise<PartReport> {
  const authority = await makeAuthority()
  const [leaf, other] = [await issue(authority), await issue(authority, 'other')]
  const [chance, findings, verdicts] = [seeded(seed), new Findings(), new Tally()]
  if (judge(leaf.der, authority) !== 'accepted') findings.add('the right certificate is refused')
  let done = 0
  for (; goOn(done) && !findings.any; done++) {
    const bent = bend(leaf.der, other.der, chance)
    if (Buffer.compare(bent, leaf.der) === 0 || Buffer.compare(bent, other.der) === 0) continue
    try {
      const verdict = judge(bent, authority)
      verdicts.add(verdict)
      if (verdict === 'accepted') findings.add(`accepted: ${shown(bent)}`)
    } catch (error) {
      findings.add(`threw ${String(error)}: ${shown(bent)}`)
    }
  }
  return { done, findings: findings.list, facts: { verdicts: String(verdicts) } }
}

/** As the gateway judges a client's certificate. */
function judge(der: Uint8Array, { certificate }: Authority): string {
  const read = readCertificate(der, { sha256 })
  if ('problem' in read) return 'does not parse'
  const profile = checkSvidLeaf(read, trustDomain)
  if (profile !== null) return 'profile'
  const anchor = chainsToAnchor(read, [certificate], now, importP256)
  return 'code' in anchor ? anchor.code : 'accepted'
}

function bend(der: Uint8Array, other: Uint8Array, chance: Chance): Uint8Array {
  const kind = chance.below(4)
  if (kind === 0) return crossed(der, other, chance)
  if (kind === 1) return lengthened(der, chance)
  return mutate(der, chance, pieces)
}

/** Bytes of another certificate at the same place: both have the same form, so whole values are exchanged. */
function crossed(der: Uint8Array, other: Uint8Array, chance: Chance): Uint8Array {
  const out = der.slice()
  const from = chance.below(der.length)
  out.set(other.subarray(from, Math.min(der.length, from + 1 + chance.below(96))), from)
  return out
}

/** One byte more or less, with the lengths of the values around it corrected as far as two bytes go. */
function lengthened(der: Uint8Array, chance: Chance): Uint8Array {
  const at = 8 + chance.below(der.length - 8)
  const grow = chance.below(2) === 0
  const middle = grow ? Uint8Array.of(chance.below(256)) : new Uint8Array(0)
  const out = new Uint8Array(Buffer.concat([der.subarray(0, at), middle, der.subarray(grow ? at : at + 1)]))
  for (const low of [3, 7]) out[low] = (out[low] ?? 0) + (grow ? 1 : -1)
  return out
}

export const certificates: Part = {
  name: 'certificates',
  rule: 'no certificate that differs from an issued one is accepted, and nothing throws',
  count: 200_000,
  maximumSeconds: 400,
  run,
}
