/** Identity, renewal and signed calls for programs. */

// what programs need of the rules
export { DoorwardError, isDoorwardError, parseSpiffeId, Secret } from '@doorward/core'
export type { SpiffeId } from '@doorward/core'

// platform
export { systemClock } from './platform/clock.ts'
export { ed25519KeyPairOf, generateEd25519, importEd25519 } from './platform/ed25519.ts'
export type { Ed25519KeyPair } from './platform/ed25519.ts'
export { hmacSha256, jwkThumbprint, randomBytes, sha256 } from './platform/hash.ts'
export { generateP256, importP256, p256KeyPairOf, signKeyOf } from './platform/p256.ts'
export type { P256KeyPair } from './platform/p256.ts'

// keys at rest
export { aesGcmSealer } from './aes-gcm-sealer.ts'
export { checkPrivate } from './file-mode.ts'
export { checkKey, createKeyFile, keyCheckValue, keyOfText, readKeyFile } from './key-file.ts'
export type { KeyEncryptionKey, KeyFilePlace } from './key-file.ts'

// a program's identity
export { connect } from './connect.ts'
export type { ConnectedIdentity, ConnectOptions } from './connect.ts'
export type { IdentityFetch, IdentityFetchInit, Peer, Peers } from './identity-fetch.ts'
export type { JoinSource } from './join-source.ts'
export { keyFileSealer } from './key-home.ts'
export type { KeyHome } from './key-home.ts'

// a program's own API
export { protect } from './protect/protect.ts'
export type { CalleeIdentity, ProtectedServer, ProtectLimits, ProtectOptions } from './protect/protect.ts'
export { callOf, CallFailed } from './protect/protected-call.ts'
export type { ProtectedCall, ProtectedListener } from './protect/protected-call.ts'
export { openRecordOf } from './protect/callee-record.ts'
export type { OpenRecord, RecordPlace } from './protect/callee-record.ts'
export type { ProtectPolicy } from './protect/role-decisions.ts'
export type { A2aOptions } from './protect/a2a-surface.ts'
export type { McpOptions } from './protect/mcp-surface.ts'
export type { JsonRpcOptions } from './protect/rpc-surface.ts'
export { requireRoutes } from './protect/route-table.ts'
export type { RouteText } from './protect/route-table.ts'

// a program behind a sidecar
export { openAssertionVerifier } from './assertion-verifier.ts'
export type { AssertionVerifier, AssertionVerifierOptions, AssertedRequest } from './assertion-verifier.ts'

// identity
export { readStatement, statementDocument } from './admin-ceremony.ts'
export type {
  Canary,
  CeremonySight,
  CeremonyStep,
  CeremonyView,
  DelegationView,
  NewCeremony,
  Probe,
} from './admin-ceremony.ts'
export { AdminClient } from './admin-client.ts'
export type { AdminEndpoint, JoinInvitation, RecordLine } from './admin-client.ts'
export type { ApprovalAnswerBody, ApprovalResult, ApprovalView } from './admin-approvals.ts'
export type { DefinitionsAnswer, DefinitionsApproval } from './definitions-answer.ts'
export { authorityAdminUrls } from './admin-client-route.ts'
export type {
  Revocation,
  RevocationMark,
  RevocationReceivers,
  RevocationRow,
  RevocationSubject,
} from './admin-revocation.ts'
export type {
  EndedCounts,
  Workload,
  WorkloadCertificate,
  WorkloadDetail,
  WorkloadInstance,
  WorkloadQuery,
} from './admin-workload.ts'
export { connectionError } from './connection-error.ts'
export { CredentialSource } from './credential-source.ts'
export { openEnrolment } from './enrolment.ts'
export type { Enrolment, EnrolmentOptions, EnrolmentPin, MachineKey, MachineProof } from './enrolment.ts'
export { elapsedOf, systemElapsed } from './elapsed.ts'
export type { ElapsedSources } from './elapsed.ts'
export { underLock } from './folder-lock.ts'
export { readBody, readJsonBody } from './https-exchange.ts'
export type { CallResponse, KeyExporter, RequestBody } from './https-exchange.ts'
export { openIdentity } from './identity.ts'
export { TrustMemory } from './trust-memory.ts'
export type { Identity, IdentityMaterial, OpenIdentityOptions } from './identity.ts'
export { LoginStore, personSource } from './login.ts'
export type { Login, PersonSource, SignedInUser } from './login.ts'
export { requestLogin } from './login-request.ts'
export type { LoginRequest } from './login-request.ts'
export { beginLogin } from './sign-in.ts'
export type { BegunLogin, IdTokenSource } from './sign-in.ts'
export { IdentityFolder } from './identity-folder.ts'
export type { IdentityDescription, JoinState } from './identity-folder.ts'
export type { Evidence } from './evidence.ts'
export { join, prepareMachineKey } from './join.ts'
export type { JoinCommon, Joined, JoinOptions, JoinPlace } from './join.ts'
export { connectMutualTls } from './mutual-tls.ts'
export type { Connected, Dial } from './mutual-tls.ts'
export { systemProcesses } from './process-identity.ts'
export type { ProcessIdentity, ProcessProbe } from './process-identity.ts'
export { fetchReceipt } from './receipt.ts'
export type { Receipt, ReceiptOptions } from './receipt.ts'
export { readRefusal, refusalError, ServerRefused } from './refusal.ts'
export type { ServerRefusal } from './refusal.ts'
export { renewalPlan } from './renewal-plan.ts'
export type { RenewalPlan } from './renewal-plan.ts'
export { systemRuntime, timerSleep } from './runtime.ts'
export type { Runtime } from './runtime.ts'
export type { Sealer } from './sealer.ts'
export { serverProblem } from './server-identity.ts'
export type { ServerCheck, ServerProblem } from './server-identity.ts'
export type { CallOptions, SignedFetch } from './signed-fetch.ts'
export { svidOf } from './svid.ts'
export type { Svid } from './svid.ts'
export type { TokenOptions } from './token-source.ts'
export { TrustStore } from './trust-store.ts'

// calls
export { readEvents } from './event-stream.ts'
export type { StreamEvent } from './event-stream.ts'
export { readLines } from './lines.ts'
export { openMcpClient, refused } from './mcp-client.ts'
export type { McpAnswer, McpClient, McpClientOptions } from './mcp-client.ts'
export { oneLine, readOutgoing } from './mcp-outgoing.ts'
export type { Outgoing } from './mcp-outgoing.ts'
export { McpSession } from './mcp-session.ts'
export type { Decision, McpEndpoint, McpSessionOptions } from './mcp-session.ts'
