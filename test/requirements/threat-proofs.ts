/** Rows of the reference of threats, and the tests that prove more than one of them. */

import type { TestReference } from './proving-tests.ts'

export interface ThreatRow {
  /** How the row of the reference begins. */
  readonly row: string
  /** `partial`: something of the row has no test; `planned`: nothing of it has. `later` says what. */
  readonly state: 'done' | 'partial' | 'planned' | 'elsewhere'
  readonly tests: readonly TestReference[]
  readonly later?: string
}

export const short = {
  accept: 'test/scenarios/bad-request.test.ts',
  api: 'test/refusals/routes-api.test.ts',
  faults: 'test/refusals/gateway-transport-faults.test.ts',
  host: 'test/refusals/host-origin.test.ts',
  http: 'test/refusals/gateway-transport-http.test.ts',
  limits: 'test/refusals/limits-rates.test.ts',
  load: 'test/refusals/limits-load.test.ts',
  mcp: 'test/refusals/routes-mcp.test.ts',
  over: 'test/refusals/forwarded-headers.test.ts',
  pace: 'test/refusals/limits-pace.test.ts',
  places: 'test/refusals/limits-connections.test.ts',
  roles: 'test/refusals/policy-roles.test.ts',
  sessions: 'test/refusals/gateway-transport-sessions.test.ts',
  stdio: 'test/refusals/gateway-transport-stdio.test.ts',
  tls: 'test/refusals/tls-handshake.test.ts',
  token: 'test/refusals/token-forged.test.ts',
  upstream: 'test/refusals/upstream-faults.test.ts',
} as const

export function test(file: string, name: string): TestReference {
  return { file, name }
}

export function done(row: string, ...tests: readonly TestReference[]): ThreatRow {
  return { row, state: 'done', tests }
}

export function partial(row: string, later: string, ...tests: readonly TestReference[]): ThreatRow {
  return { row, state: 'partial', tests, later }
}

export function planned(row: string, later: string): ThreatRow {
  return { row, state: 'planned', tests: [], later }
}

export function elsewhere(row: string, later: string, ...tests: readonly TestReference[]): ThreatRow {
  return { row, state: 'elsewhere', tests, later }
}

export const forged = test(short.token, '${name} is refused')
export const bound = test(short.token, 'RP-1: a token that the authority itself gave to another caller is refused')
export const badLeaf = test(
  'test/refusals/svid-profile.test.ts',
  'X5-7: what the anchor signed is refused at the gateway',
)
export const limbo = test('test/vectors/limbo.test.ts', 'X5-7: x509-limbo: no wrong accept')
export const scan = test(
  'test/unit/core/json-scan.test.ts',
  'JSONTestSuite: no wrong accept, and every wrong reject has its reason',
)
export const bodies = test(short.http, 'each wrong body is refused with its own code')
export const smuggled = test(short.http, 'both lengths, other transfer codings and chunk extensions smuggle nothing')
export const bytes = test(
  'test/scenarios/modern-http.test.ts',
  'reaches its server byte for byte, with what repeats it',
)
export const crossed = test(short.faults, 'many callers with the same ids get their own answers')
export const canary = test('test/scenarios/canary.test.ts', 'are in no file of the state: no log, no record, no store')
export const noCaller = test(short.http, 'forwarded requests carry nothing of the caller but what the protocol needs')
export const joined = test('test/scenarios/join-token-raced.test.ts', 'over four processes exactly one succeeds')
export const silent = test(
  'test/scenarios/authority-silent.test.ts',
  'RV-3: full service, then the known at a reduced rate',
)
export const resumed = test('test/refusals/tls-resumption.test.ts', 'TR-3: no listener takes a session up again')
export const kills = test(
  'test/unit/enforcement/record-kill.test.ts',
  'no acknowledged entry is lost, no index was given twice',
)
export const fullDisk = test(
  'test/scenarios/record-faults.test.ts',
  'a full disk under the record or its second sink: refused',
)
export const slow = test(short.upstream, 'a server that sends its body slowly is upstream_timeout')
export const hidden = test(
  'test/scenarios/clients-filtered.test.ts',
  'gets one answer for what is hidden and what does not exist',
)
export const routesDescribed = test(short.api, 'every route of the code is described here')
export const reload = test(
  'test/scenarios/gateway-reload.test.ts',
  'what stands until the next start is named with its line',
)
export const methods = test('test/unit/core/mcp-methods.test.ts', 'the revisions list exactly the methods of the table')
export const reference = test(
  'test/contract/decision-engine.test.ts',
  'Cedar decides as the reference does, and lists agree with calls',
)
export const shed = test(short.load, 'a loop that lags sheds connections, then strangers, never known callers')
export const definitions = test(
  'test/refusals/definitions.test.ts',
  'a description that has changed: the tool is left out of the list',
)
export const denials = test(
  'test/refusals/revocation-authority.test.ts',
  'RV-4, RV-5: a denied serial is refused on new and open',
)
export const recovered = test(
  'test/scenarios/authority-recover.test.ts',
  'RV-6: replaces every key and denies the old ones',
)
export const enumerated = test(
  'test/refusals/mcp-enumerated.test.ts',
  'is closed to a caller without a role, and to one with a role for another server',
)
