/** Tests that prove more than one sentence of the decision records, and files that hold several. */

/** A test that proves a sentence: its file from the root of the repository, and its name as written there. */
export interface TestReference {
  readonly file: string
  readonly name: string
}

/** A rule by its id elsewhere; `later` says what of it no test proves. */
export interface McpRule {
  readonly rule: string
  readonly tests: readonly TestReference[]
  readonly later?: string
}

export const tls = 'test/refusals/tls-handshake.test.ts'
export const token = 'test/refusals/token-forged.test.ts'
const policy = 'test/refusals/policy-roles.test.ts'
export const limits = 'test/refusals/limits-rates.test.ts'
export const headers = 'test/refusals/headers-every-answer.test.ts'
export const apis = 'test/refusals/routes-api.test.ts'
export const paths = 'test/refusals/routes-mcp.test.ts'
const revoked = 'test/refusals/revocation-authority.test.ts'
const forged = 'test/refusals/detection-forged.test.ts'
export const first = 'test/scenarios/first-start.test.ts'
const renewal = 'test/scenarios/renewal-under-load.test.ts'
export const conformance = 'test/scenarios/conformance/gateway.test.ts'

export const noCertificate: TestReference = {
  file: tls,
  name: 'a caller without a certificate is refused in the handshake',
}
export const everyToken: TestReference = {
  file: token,
  name: 'every request brings its token: one that passed lends nothing to the next on its connection',
}
export const unknownKey: TestReference = { file: token, name: 'a token of an unknown key' }
export const unlisted: TestReference = {
  file: policy,
  name: 'a tool that the role does not list is denied, and the model is told by which permission it would be allowed',
}
export const printedRoles: TestReference = {
  file: policy,
  name: 'readonly reads, user also writes, admin does everything: as ADR-0011 prints them',
}
export const everyDecision: TestReference = {
  file: conformance,
  name: 'the record holds exactly one decision for every request that the server saw, and its outcome',
}
export const replaced: TestReference = {
  file: renewal,
  name: 'no call fails while every certificate is replaced several times',
}

export const noFailures: TestReference = {
  file: 'test/scenarios/authority-rotate.test.ts',
  name: 'OP-3: no call fails while anchors and token keys are replaced again and again',
}
export const onTheirDays: TestReference = {
  file: 'test/scenarios/authority-rotation.test.ts',
  name: 'CA-2: keys are made, published, activated and dropped on their days; a retired anchor signs its revocation list until it goes',
}
export const missedRotation: TestReference = {
  file: 'test/scenarios/misconfiguration.test.ts',
  name: 'OP-3: a rotation that cannot be made is an alarm (DT-7), days before anything ends',
}
export const deniedSerial: TestReference = {
  file: revoked,
  name: 'RV-4, RV-5: a denied serial is refused on new and open connections and streams, for tokens and renewals',
}
export const lockedInstance: TestReference = {
  file: revoked,
  name: 'OP-10: a locked instance loses what it has and cannot return, the others of its name go on',
}
export const recovered: TestReference = {
  file: 'test/unit/server/ceremony.test.ts',
  name: 'RV-6: denies every older key and begins an epoch, under new keys that the root has named',
}
export const recoveredWhole: TestReference = {
  file: 'test/scenarios/authority-recover.test.ts',
  name: 'RV-6: replaces every key and denies the old ones, with its proof in a report that anybody can verify',
}
export const forgedCertificate: TestReference = {
  file: forged,
  name: 'DT-1: a certificate by the stolen anchor is refused at its first use, and the authority knows of it',
}
export const forgedToken: TestReference = {
  file: forged,
  name: 'DT-1: a token by the stolen key that the authority would not have made is refused and gives the key away',
}
export const keysInCustody: TestReference = {
  file: 'test/scenarios/authority-custody.test.ts',
  name: 'CA-6: no private key is in the store, on the record, in any other file or in what the authority says',
}
export const openKeyFile: TestReference = {
  file: 'test/scenarios/misconfiguration.test.ts',
  name: 'a key file that others may read stops everything until it is private again',
}
export const jobsOfCi: TestReference = {
  file: 'test/refusals/attestation-platform.test.ts',
  name: 'BS-1: identities of CI jobs, as GitHub and GitLab shape them, join',
}
export const approvedOnce: TestReference = {
  file: 'test/refusals/approvals.test.ts',
  name: 'a call reaches its server once, when somebody has approved exactly it',
}
export const grantedOnce: TestReference = {
  file: 'test/refusals/user-grants.test.ts',
  name: 'a person grants it once in a browser, and calls in their name alone go with their token',
}
export const replacedByAcme: TestReference = {
  file: 'test/refusals/edge-acme.test.ts',
  name: 'when a third of its life is left it is replaced, by the same account, and connections of before go on',
}
export const replacedAtFront: TestReference = {
  file: 'test/refusals/front-acme.test.ts',
  name: 'it is replaced by the same account when a third of its life is left, and connections of before go on',
}
/** Each way in has a test for who connects, what each request brings, by which permission it passes and that it is on record. */
export const waysIn: TestReference = {
  file: 'test/architecture/surfaces.test.ts',
  name: 'each cell of each way in is a test that exists, or a decision record',
}
/** No connection is opened or taken at a place that is not described, with what protects it. */
export const sockets: TestReference = {
  file: 'test/architecture/surfaces.test.ts',
  name: 'every file that opens or takes a connection is described, once, and no other file is',
}
export const endToEnd: TestReference = {
  file: 'test/refusals/sidecar.test.ts',
  name: 'a program calls another one through both sidecars, which is told who it is, about which request',
}
export const plainGetsNothing: TestReference = { file: tls, name: 'plain HTTP gets no HTTP answer' }
export const outwardSecrecy: TestReference = {
  file: 'test/refusals/outward-tls.test.ts',
  name: 'is sent nothing over a suite without forward secrecy',
}
export const boundToken: TestReference = { file: token, name: 'a token bound to another certificate' }
export const unrecorded: TestReference = {
  file: 'test/refusals/gateway-transport-faults.test.ts',
  name: 'when the record cannot be written nothing is forwarded',
}
export const strangersCounted: TestReference = {
  file: tls,
  name: 'the record counts each of these refusals by its reason, and no others',
}
export const shedding: TestReference = {
  file: 'test/refusals/limits-load.test.ts',
  name: 'a loop that lags sheds connections, then strangers, never known callers; it is told, counted and over by itself',
}
export const exactArguments: TestReference = {
  file: 'test/refusals/approvals.test.ts',
  name: 'numbers that no double can tell apart are two calls',
}
export const unlogged: TestReference = {
  file: tls,
  name: 'CA-5: a certificate that the anchor signed but that is not in the issuance mirror is refused',
}
