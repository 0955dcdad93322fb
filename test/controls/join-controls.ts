/** The controls on who joins and returns, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const attest = 'packages/server/src/authority/attest'
const platform = 'packages/core/src/token/platform-token.ts'
const foreignJws = 'packages/core/src/token/foreign-jws.ts'
const forged =
  'a token whose header, signature, issuer, audience or times are not right is refused, and the right one still joins'
const certificate = 'a certificate that is expired, foreign, for another purpose or of another name is refused'
const proof = 'a certificate is worth nothing without its key, on this connection and for this machine key'

function control(
  name: string,
  [file, test]: readonly [string, string],
  edits: readonly Control['edits'][number][],
): Control {
  return { name, edits, test: { file: `test/${file}.test.ts`, name: test } }
}

export const joinControls: readonly Control[] = [
  control(
    'join.machine_proof',
    ['refusals/authority-join', 'a proof by another key than the machine key is refused and the token stays good'],
    [
      {
        file: 'packages/server/src/authority/join.ts',
        from: 'if (!proves(machineKey, exported, machineProof, context.importP256))',
        to: 'if (machineProof.length === 0)',
      },
    ],
  ),
  control(
    'join.once',
    ['refusals/attestation-platform', 'RP-2: a token admits once, also when its signature is written in another way'],
    [
      {
        file: 'packages/server/src/storage/sqlite/joins.ts',
        from: 'if (used || full) return',
        to: 'if (full) return',
      },
      {
        file: 'packages/server/src/storage/sqlite/joins.ts',
        from: "'INSERT INTO used_proofs (hash, expires_at) VALUES (?, ?)'",
        to: "'INSERT OR IGNORE INTO used_proofs (hash, expires_at) VALUES (?, ?)'",
      },
    ],
  ),
  control(
    'oidc.signature',
    ['refusals/attestation-platform', forged],
    [
      {
        file: foreignJws,
        from: '(key.verify(signed, signature) ? claims : null)',
        to: '(key === null ? null : claims)',
      },
    ],
  ),
  control(
    'oidc.audience',
    ['refusals/attestation-platform', forged],
    [
      {
        file: platform,
        from: "if (onlyAudience(member(claims, 'aud')) !== expected.audience)",
        to: "if (expected.audience === '')",
      },
    ],
  ),
  control(
    'oidc.times',
    ['refusals/attestation-platform', forged],
    [{ file: platform, from: 'if (now >= exp + leewaySeconds)', to: 'if (now < 0)' }],
  ),
  control(
    'oidc.claims',
    ['refusals/attestation-platform', 'a genuine token that lacks a claim, or has it otherwise, is for nobody here'],
    [{ file: `${attest}/oidc.ts`, from: 'claimAt(claims, name) !== value)', to: 'claimAt(claims, name) === null)' }],
  ),
  control(
    'x509_pop.anchors',
    ['refusals/attestation-key', certificate],
    [
      {
        file: 'packages/core/src/identity/foreign-path.ts',
        from: '|| !signedBy(certificate, path[i]!)) return false',
        to: ') return false',
      },
    ],
  ),
  control(
    'x509_pop.name',
    ['refusals/attestation-key', certificate],
    [
      {
        file: `${attest}/x509-pop.ts`,
        from: 'one.anchors === name && matches(one, path.leaf)',
        to: 'one.anchors === name',
      },
    ],
  ),
  control(
    'x509_pop.proof',
    ['refusals/attestation-key', proof],
    [{ file: `${attest}/x509-pop.ts`, from: 'if (id === null || !holds)', to: 'if (id === null)' }],
  ),
  control(
    'join_state',
    [
      'refusals/join-state',
      'BS-2, OP-10, DT-3: a state from the past locks that instance at once, and no other of its identity',
    ],
    [
      {
        file: 'packages/server/src/storage/join-states.ts',
        from: "return hash === held.current || held.current === anyState ? 'current' : 'regressed'",
        to: "return 'current'",
      },
    ],
  ),
]
