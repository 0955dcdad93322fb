/** The attackers of examples/agents, each with the one defence without which it is let through. */

import type { Control } from './controls.ts'

const enforcement = 'packages/enforcement/src'
const identify = `${enforcement}/identify.ts`
const narrowing = 'packages/server/src/authority/token-narrowing.ts'
const file = 'test/refusals/example-attacks.test.ts'

type Edits = Control['edits']

/** Who calls is who holds the connection, and a token says to whom it was given: without this it is whoever the token says. */
const binding: Edits = [
  {
    file: 'packages/core/src/token/judge-claims.ts',
    from: 'boundToCertificate(claims.cnf, expect.certificateFingerprint)',
    to: "boundToCertificate(claims.cnf, claims.cnf['x5t#S256'])",
  },
  { file: identify, from: 'if (client_id === id.uri) return null', to: "if (client_id !== '') return null" },
  {
    file: identify,
    from: 'return accepted(inbound, { key, claims, token, leaf, view })',
    to: 'return accepted(inbound, { key, claims, token, leaf: { ...leaf, id: parseSpiffeId(claims.client_id) }, view })',
  },
]

/** A certificate is one that an anchor has signed: in the handshake, on each request, and by the mirror of what was issued. */
const issued: Edits = [
  {
    file: `${enforcement}/wire/listener.ts`,
    from: "rejectUnauthorized: options.clientCertificate === 'required',",
    to: 'rejectUnauthorized: false,',
  },
  {
    file: `${enforcement}/certificate-standing.ts`,
    from: "return 'code' in anchor ? chainDenial(",
    to: "return 'code' in anchor && id === null ? chainDenial(",
  },
  {
    file: identify,
    from: 'candidate.issued.get(fingerprint)?.id === leaf.id.uri',
    to: 'candidate.issued.get(fingerprint)?.id !== fingerprint',
  },
]

/** Told early, and decided when it is used up. */
const once: Edits = [
  {
    file: 'packages/server/src/authority/attest/join-token.ts',
    from: 'if (usedAt !== null)',
    to: 'if (usedAt === 0)',
  },
  {
    file: 'packages/server/src/storage/sqlite/joins.ts',
    from: 'SET used_at = ? WHERE hash = ? AND used_at IS NULL AND',
    to: 'SET used_at = ? WHERE hash = ? AND',
  },
]

const defaultDeny: Edits = [
  {
    file: `${enforcement}/authorize.ts`,
    from: "if (verdict.effect === 'allow') {",
    to: "if (verdict.effect === 'allow' || verdict.reason === 'none') {",
  },
  {
    file: `${enforcement}/authorize.ts`,
    from: 'const { policies, obligations, version, shadow = null } = verdict',
    to: "const { policies, version } = verdict\n    const shadow = null\n    const obligations = verdict.effect === 'allow' ? verdict.obligations : []",
  },
]

/** What a caller writes under the sidecar's name comes before what the sidecar does. */
const ownHeader: Edits = [
  {
    file: 'packages/server/src/transports/sidecar/program-call.ts',
    from: '        ...own,\n        ...length,',
    to: "        ...own,\n        'doorward-principal': headers['doorward-principal'] ?? own['doorward-principal'],\n        ...length,",
  },
]

const scopeShrinks: Edits = [{ file: narrowing, from: 'wider === null) return asked', to: 'true) return asked' }]

const addressee: Edits = [
  {
    file: 'packages/server/src/authority/exchange-chain.ts',
    from: '(await audienceHolder(claims.aud)) !== id',
    to: '(await audienceHolder(claims.aud)) === id + id',
  },
]

export const exampleControls: readonly Control[] = [
  {
    name: 'example.stolen_token',
    edits: binding,
    test: { file, name: 'a stolen token is refused on a connection of somebody else' },
  },
  {
    name: 'example.stolen_certificate',
    edits: issued,
    test: { file, name: 'a stolen certificate is refused without its key' },
  },
  { name: 'example.replay', edits: once, test: { file, name: 'a join string that has been used is refused' } },
  {
    name: 'example.lateral_move',
    edits: defaultDeny,
    test: { file, name: 'who was taken over gets no further than its roles' },
  },
  {
    name: 'example.widened_delegation',
    edits: scopeShrinks,
    test: { file, name: 'a delegation is not widened by whom it was given to' },
  },
  {
    name: 'example.forged_header',
    edits: ownHeader,
    test: { file, name: 'a caller writes no header by which a program takes it for somebody else' },
  },
  {
    name: 'example.gateway_assertion',
    edits: [...defaultDeny, ...ownHeader],
    test: { file, name: 'a compromised gateway says of nobody that he calls' },
  },
  {
    name: 'example.gateway_token',
    edits: binding,
    test: { file, name: 'a compromised gateway calls nobody with the tokens of its callers' },
  },
  {
    name: 'example.gateway_exchange',
    edits: addressee,
    test: { file, name: 'a compromised gateway exchanges no token of its callers' },
  },
]
