/** Any workload that may be registered. */

import fc from 'fast-check'
import { parseTrustDomain, readWorkloadDocument } from '@doorward/core'
import type { AttestationEntry, JsonObject, WorkloadDocument } from '@doorward/core'

export const trustDomain = parseTrustDomain('acme.example')

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
const word = fc.string({ unit: fc.constantFrom(...Array.from(letters)), minLength: 1, maxLength: 6 })
const dnsName = fc.tuple(word, word).map(([a, b]) => `${a}.${b}`)

const attestation: fc.Arbitrary<AttestationEntry> = fc.oneof(
  fc.constant<AttestationEntry>({ join_token: true }),
  fc
    .string({ unit: fc.constantFrom(...Array.from(letters), 'A', '_', '-'), minLength: 43, maxLength: 43 })
    .map((text): AttestationEntry => ({ bound_key: text })),
  fc.tuple(word, dnsName).map(([anchors, dns]): AttestationEntry => ({ x509_pop: { anchors, dns } })),
  fc.tuple(word, fc.string({ minLength: 1, maxLength: 64 })).map(([anchors, text]): AttestationEntry => ({
    // oxlint-disable-next-line no-control-regex -- names of certificates have none
    x509_pop: { anchors, common_name: text.replaceAll(/[\u0000-\u001f\u007f]/g, 'x') },
  })),
  fc
    .tuple(word, fc.dictionary(word, fc.string({ minLength: 1, maxLength: 20 }), { minKeys: 1, maxKeys: 3 }))
    .map(([issuer, claims]): AttestationEntry => ({ oidc: { issuer, claims } })),
)

const audience = fc
  .tuple(dnsName, fc.integer({ min: 444, max: 65_535 }), word)
  .map(([host, port, path]) => `https://${host}.example:${port}/${path}`)

const unique = <T>(of: fc.Arbitrary<T>, maxLength: number) =>
  fc.uniqueArray(of, { maxLength, selector: (item) => JSON.stringify(item) })

/** With the id given, or any below `agent/` and `service/`. */
export function anyWorkload(id?: string): fc.Arbitrary<WorkloadDocument> {
  const anyId = fc
    .tuple(fc.constantFrom('agent', 'service'), word)
    .map((path) => `spiffe://acme.example/${path.join('/')}`)
  return fc
    .record({
      id: id === undefined ? anyId : fc.constant(id),
      roles: unique(word, 4),
      ttl_seconds: fc.integer({ min: 300, max: 86_400 }),
      dns_names: unique(dnsName, 3),
      ip_addresses: fc.subarray(['127.0.0.1', '10.0.0.1', '2001:db8::1']),
      shared_names: fc.boolean(),
      attest: unique(attestation, 3),
      single_instance: fc.boolean(),
      canary: fc.boolean(),
      audiences: unique(audience, 3),
    })
    .map((value) => {
      const document = readWorkloadDocument(JSON.parse(JSON.stringify(value)) as JsonObject, {
        trustDomain,
        reserved: false,
      })
      if ('problems' in document) throw new Error(JSON.stringify(document.problems))
      return document
    })
}

/** Several workloads, each with an id of its own. */
export const anyWorkloads: fc.Arbitrary<readonly WorkloadDocument[]> = fc.uniqueArray(anyWorkload(), {
  maxLength: 8,
  selector: ({ id }) => id,
})
