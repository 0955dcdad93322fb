/** Sentences about the whole rather than about one control: proven in part by several, or decided in a record by their id. */

import { done, partial } from './proof.ts'
import type { Proof } from './proof.ts'
import {
  deniedSerial,
  everyToken,
  first,
  jobsOfCi,
  lockedInstance,
  noCertificate,
  noFailures,
  onTheirDays,
  recovered,
  recoveredWhole,
  sockets,
  token,
  unlisted,
  waysIn,
} from './proving-tests.ts'
import type { TestReference } from './proving-tests.ts'

const assessed: TestReference = {
  file: 'test/architecture/assurance.test.ts',
  name: 'a row that is full rests on whole proofs; one that is not says what is missing, or why it does not apply',
}
/** A measurement, no test: it says what it costs, and bounds nothing. */
const measured: TestReference = { file: 'test/bench/run.ts', name: 'what a call costs' }
const scanned = (): readonly TestReference[] => [
  seeded,
  {
    file: 'test/architecture/security.test.ts',
    name: 'a dependency with a known hole is found, until an exception with reason and end says otherwise',
  },
  {
    file: 'test/architecture/security.test.ts',
    name: 'what is committed passes every check but that of the registry, which may not have answered',
  },
]
const seeded: TestReference = {
  file: 'test/architecture/security.test.ts',
  name: 'a repository with a vulnerable dependency, a secret and an unsafe pattern fails for each of them',
}
const installed: TestReference = {
  file: 'test/packaging/packages.test.ts',
  name: 'types resolve for a program that imports or requires them, its libraries checked too',
}
const confined: TestReference = {
  file: 'test/packaging/systemd.test.ts',
  name: 'its exposure is low, and without its confinement it would not pass',
}
const firstCall: TestReference = {
  file: first,
  name: 'shows one allowed call and three refusals, each with its entry in the record',
}
/** The material is there and does what it says; that somebody was taught, or has audited, no test can say. */
const pageWalked = (name: string): TestReference => ({ file: 'test/scenarios/runbooks.test.ts', name })
const exercised = pageWalked('docs/training: every exercise of developers and operators shows what its page says')
const audited = pageWalked('docs/audit-calendar.md: every audit makes its evidence')
const probed: TestReference = {
  file: 'test/scenarios/probe.test.ts',
  name: 'everything is refused as it must be, is on the record, and leaves nobody behind',
}
/** Nothing is trusted for where it comes from. */
const nowhereTrusted = done('auth.require_auth', waysIn, sockets, noCertificate, everyToken, unlisted)
/** Who is inside goes no further. */
const noLateral = done('certificate.denial', deniedSerial, unlisted, lockedInstance)

const record = 'docs/adr/0093-what-the-two-records-leave-open.md'
const decided: readonly string[] = [
  'ADR11-CTX-2',
  'ADR11-POS-6',
  'ADR11-NEG-1',
  'ADR11-NEG-2',
  'ADR11-NEG-4',
  'ADR11-NEG-5',
  'ADR11-NEU-2',
  'ADR11-CHK-10',
  'OS25-ASM-2',
  'OS25-ASM-6',
  'OS25-CONS-4',
  'OS25-RAT-8',
]

export const wholePromises: Readonly<Record<string, Proof>> = {
  ...Object.fromEntries(decided.map((id) => [id, { state: 'decided', record }] as const)),
  'ADR11-NEU-1': partial(exercised),
  'ADR11-CHK-7': partial(exercised),
  'ADR11-NEU-3': partial(audited),
  'ADR11-CHK-9': partial(audited),
  'ADR11-CHK-6': partial(probed, pageWalked('docs/penetration-test.md: what a tester begins and ends with is there')),
  'ADR11-CHK-8': done(
    'ceremony.denies',
    recovered,
    { file: 'test/architecture/recovery-doc.test.ts', name: 'names the stages of a recovery, in their order' },
    recoveredWhole,
    pageWalked('a stolen agent is refused with all that it held, its successor calls, and others were never touched'),
    pageWalked('a compromised server hears nothing until it is trusted again, and then has another credential'),
  ),
  'ADR11-REQ-6': partial(assessed),
  'ADR11-POS-2': partial(assessed),
  'ADR11-CON-1': partial(measured),
  'ADR11-CON-3': done(
    'sidecar.port_callers',
    installed,
    confined,
    firstCall,
    jobsOfCi,
    {
      file: 'test/scenarios/postgres-failover.test.ts',
      name: 'a store that knows both servers follows the one that takes writes',
    },
    {
      file: 'test/refusals/sidecar.test.ts',
      name: 'another user of the machine does not borrow the sidecar, by socket or by port',
    },
  ),
  'ADR11-DEC-6': done('security.advisories', ...scanned()),
  'ADR11-CHK-3': done('security.advisories', ...scanned()),
  'ADR11-POS-1': nowhereTrusted,
  'ADR11-POS-4': done('rbac.default_policy', unlisted, sockets, {
    file: 'test/refusals/routes-api.test.ts',
    name: 'and no route of another listener is here',
  }),
  'OS25-CTX-3': nowhereTrusted,
  'OS25-RAT-1': nowhereTrusted,
  'OS25-RAT-7': nowhereTrusted,
  'OS25-CONS-1': nowhereTrusted,
  // Why an alternative was rejected is a demand on the one that was chosen.
  'ADR11-ALT1-10': noLateral,
  'OS25-ALT-2': noLateral,
  'OS25-ALT-3': noLateral,
  'OS25-ALT-4': noLateral,
  'ADR11-ALT2-10': done('rbac.default_policy', firstCall, unlisted),
  'ADR11-ALT3-10': done('tls.client_auth', noCertificate, sockets, {
    file: 'test/refusals/sidecar.test.ts',
    name: 'whoever stands between cannot make the callee believe that somebody else calls',
  }),
  'OS25-QST-1': done(
    'token.kind',
    { file: token, name: 'a token of an unknown key' },
    { file: token, name: 'an expired token' },
    { file: 'test/unit/core/token-verify.test.ts', name: 'what an accepted token says' },
    { file: 'test/unit/core/token-forged.test.ts', name: 'a token with one thing wrong is refused' },
  ),
  'OS25-QST-2': done('rotation.schedule', onTheirDays, noFailures, {
    file: 'test/scenarios/authority-excluded.test.ts',
    name: 'CA-1: each authority is an anchor of its own, signed by itself and no other, for seven days',
  }),
  'OS25-QST-3': done(
    'join.once',
    {
      file: 'test/refusals/attestation-platform.test.ts',
      name: 'RP-2: a token admits once, also when its signature is written in another way',
    },
    jobsOfCi,
    {
      file: 'test/refusals/attestation-key.test.ts',
      name: 'BS-2: a registered machine key joins without any secret, and no other key does',
    },
    {
      file: 'test/scenarios/join-token-raced.test.ts',
      name: 'BS-3: of two hundred concurrent joins with one token over four processes exactly one succeeds',
    },
    {
      file: 'test/unit/sdk/join-state.test.ts',
      name: 'BS-4: a platform’s token is not even read before the server is proven',
    },
    {
      file: 'test/scenarios/attested-joins.test.ts',
      name: 'BS-5: a join string is taken from no argument, and evidence only from files',
    },
  ),
}
