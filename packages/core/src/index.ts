/** The rules: identity, tokens, policy, messages and the record. Pure; nothing of Node. */

// vocabulary
export {
  concat,
  equalBytes,
  fromBase64,
  fromBase64url,
  fromUtf8,
  hex,
  toBase64,
  toBase64url,
  utf8,
} from './bytes.ts'
export { DoorwardError, isDoorwardError } from './error.ts'
export type { ErrorDetail } from './error.ts'
export type { JsonObject, JsonValue } from './json-value.ts'
export type { HmacSha256, ImportP256, P256Jwk, RandomBytes, Sha256, SignKey, VerifyKey } from './primitives.ts'
export { Secret } from './secret.ts'
export { epochMillis, epochSeconds, toMillis, toSeconds } from './time.ts'
export type { Clock, EpochMillis, EpochSeconds } from './time.ts'

// identity (names)
export {
  matchesSpiffeId,
  parseSpiffeId,
  parseSpiffeIdPattern,
  parseTrustDomain,
  readSpiffeId,
  sameSpiffeId,
  workloadId,
} from './identity/spiffe-id.ts'
export type { SpiffeId, SpiffeIdPattern, TrustDomain } from './identity/spiffe-id.ts'
export { principalName } from './identity/principal.ts'
export type { AuthenticationStrength, Principal, Subject, UserSubject, WorkloadSubject } from './identity/principal.ts'
export { backdatingSeconds, compareStates, freshness } from './identity/trust-state.ts'
export type {
  Delegation,
  DeniedIdentity,
  Denials,
  Freshness,
  Heartbeat,
  Issued,
  RegisteredWorkload,
  SlotState,
  StalenessLimits,
  StateOrder,
  TokenKey,
  TrustAnchor,
  TrustState,
} from './identity/trust-state.ts'

// policy (decisions)
export type {
  Action,
  ActionGroup,
  DecisionContext,
  DecisionRequest,
  ListVerdict,
  Obligation,
  PolicyVersion,
  Resource,
  ResourceKind,
  Verdict,
} from './policy/decision.ts'
