/** What the doctor looks at, each with the change that has it take anything for fine and the test that must then turn red. */

import type { Control } from './controls.ts'

const doctor = 'packages/server/src/apps/doctor'
const looks = 'test/unit/server/doctor.test.ts'
const tokens = 'test/unit/server/doctor-token.test.ts'

export const doctorControls: readonly Control[] = [
  {
    name: 'doctor.who_answers',
    test: { file: looks, name: 'a listener is who its chain says, by the trust state: anybody can write a name' },
    edits: [
      {
        file: `${doctor}/listeners.ts`,
        from: 'if (problem === null) return null',
        to: 'if (problem === null || certificate?.spiffeId?.uri === id.uri) return null',
      },
    ],
  },
  {
    name: 'doctor.older_tls',
    test: {
      file: looks,
      name: 'a listener refuses TLS 1.2 by the alert for it; what begins to speak it does, and all else is unknown',
    },
    edits: [
      {
        file: `${doctor}/older-tls.ts`,
        from: "return second === protocolVersionAlert ? { kind: 'refused' }",
        to: "return second !== undefined ? { kind: 'refused' }",
      },
    ],
  },
  {
    name: 'doctor.unsaid',
    test: { file: looks, name: 'what an authority does not say is unknown, and never fine' },
    edits: [
      {
        file: `${doctor}/answer-shape.ts`,
        from: 'return unsaid.length === 0 ?',
        to: 'return unsaid.length >= 0 ?',
      },
    ],
  },
  {
    name: 'doctor.token_chain',
    test: {
      file: tokens,
      name: 'a chain is fine until one of its holders, their tokens, certificates, keys or registrations is not',
    },
    edits: [
      {
        file: `${doctor}/token.ts`,
        from: 'presenterWithdrawal(claims, view, identity) ?? tokenWithdrawal(claims, view)',
        to: 'presenterWithdrawal(claims, view, identity) ?? (claims.act ? null : tokenWithdrawal(claims, view))',
      },
    ],
  },
  {
    name: 'doctor.token_of_issuer',
    test: {
      file: tokens,
      name: 'a token of an issuer is denied by the id that the edge gives it, by its person, and by its client',
    },
    edits: [
      {
        file: `${doctor}/token.ts`,
        from: '...caller }, view)',
        to: '...caller, token: null }, view)',
      },
    ],
  },
]
