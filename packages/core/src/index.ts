/** The rules: identity, tokens, policy, messages and the record. Pure; nothing of Node. */

// vocabulary
export {
  concat,
  equalBytes,
  fromBase64,
  fromBase64url,
  fromUtf8,
  hex,
  joinBytes,
  toBase64,
  toBase64url,
  utf8,
} from './bytes.ts'
export { DoorwardError, isDoorwardError } from './error.ts'
export type { ErrorDetail } from './error.ts'
export type { JsonObject, JsonValue } from './json-value.ts'
export type { HmacSha256, ImportP256, P256Jwk, RandomBytes, Sha256, SignKey, VerifyKey } from './primitives.ts'
export { outwardTls } from './outward-tls.ts'
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
export { edgeClientId, isEdgeId, unlistedClient } from './identity/edge-id.ts'
export { principalName, readUserName, subjectName, userName } from './identity/principal.ts'
export type { AuthenticationStrength, Principal, Subject, UserSubject, WorkloadSubject } from './identity/principal.ts'
export type { ChainLink, HeldLink } from './identity/principal.ts'
export { linkKeyWithdrawal, linkWithdrawal } from './identity/chain-standing.ts'
export type { LinkDenials } from './identity/chain-standing.ts'
export { backdatingSeconds, compareStates, denialMarginSeconds, freshness } from './identity/trust-state.ts'
export { leaseMilliseconds, placesMilliseconds } from './identity/authority-lease.ts'
export type {
  AuthorityPlace,
  Delegation,
  Denials,
  DeniedIdentity,
  Freshness,
  Heartbeat,
  Issued,
  RegisteredWorkload,
  SlotState,
  StalenessLimits,
  StateOrder,
  TokenKey,
  TrustAnchor,
  TrustScope,
  TrustState,
} from './identity/trust-state.ts'

// policy (decisions)
export type {
  Action,
  ActionGroup,
  ApprovalDuty,
  DecisionContext,
  DecisionRequest,
  ListVerdict,
  SomeRequest,
  Obligation,
  PolicyVersion,
  Resource,
  ResourceKind,
  ShadowVerdict,
  Verdict,
} from './policy/decision.ts'

// audit
export {
  ENTRY_KINDS,
  LEAF_BYTES,
  MAX_PAYLOAD_BYTES,
  SALT_BYTES,
  encodeLeaf,
  encodePayload,
  isEntryKind,
  parseLeaf,
  parsePayload,
} from './audit/entry.ts'
export type { EntryEnvelope, EntryKind } from './audit/entry.ts'
export { HASH_BYTES, TILE_WIDTH, TreeEdge, completeRoot, emptyRoot, leafHash, rangeRoot } from './audit/merkle-tree.ts'
export type { FullTile, ReadSubtree, SubtreeId } from './audit/merkle-tree.ts'
export {
  encodeEntryBundle,
  encodeTile,
  parseEntryBundle,
  parseTile,
  partialTileIds,
  partialWidth,
  subtreesInTiles,
  tilePath,
} from './audit/tile.ts'
export type { TileId } from './audit/tile.ts'
export { detectors, detectorSeverity, isAtLeast, isDetectorId, isSeverity, severities } from './audit/detector.ts'
export type { DetectorId, Severity } from './audit/detector.ts'
export { buildInclusionProof, verifyInclusion } from './audit/inclusion-proof.ts'
export { buildConsistencyProof, verifyConsistency } from './audit/consistency-proof.ts'
export { formatVerifierKey, openNote, parseNote, parseVerifierKey, signNote, verifierKey } from './audit/signed-note.ts'
export type { NoteAlgorithm, NoteSigner, NoteVerifier, VerifierKey } from './audit/signed-note.ts'
export { cosign, cosignaturesIn, cosignaturesOf, witnessKey } from './audit/cosignature.ts'
export type { Cosignature } from './audit/cosignature.ts'
export { formatAddCheckpoint, judgeSubmission, parseAddCheckpoint } from './audit/witness.ts'
export type { AddCheckpoint, WitnessVerdict } from './audit/witness.ts'
export { claimedOrigin, formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './audit/checkpoint.ts'
export type { Checkpoint, SignedCheckpoint } from './audit/checkpoint.ts'
export {
  MAX_PROOF_CHARS,
  encodeProofExtra,
  formatLogProof,
  openLogProof,
  parseLogProof,
  parseProofExtra,
} from './audit/log-proof.ts'
export type { LogProof, ProofExtra, ProvenEntry } from './audit/log-proof.ts'
export {
  CHECKPOINT_FILE,
  FRAME_HEADER_BYTES,
  MAX_SEGMENT_HEADER_BYTES,
  SEGMENTS_FOLDER,
  encodeAbsentFrame,
  encodeFrames,
  encodeSegmentHeader,
  leafOfFrame,
  parseSegmentHeader,
  parseSegmentName,
  readFrame,
  scanSegment,
  segmentName,
} from './audit/journal.ts'
export { MIN_ABSENT_FRAME_BYTES } from './audit/absent-frame.ts'
export type { AbsentEntry, AbsentPayload, AbsentReason } from './audit/absent-frame.ts'
export { ACCEPT_DAMAGE_CHANGE, REDACTABLE_KINDS, REDACT_CHANGE, absenceSaidBy, isRedactable } from './audit/absence.ts'
export type { Absence } from './audit/absence.ts'
export { EXPIRE_EVENT, EXPIRY_FILE, formatExpiry, parseExpiry, saysExpired } from './audit/expiry.ts'
export type { ExpiryMarker } from './audit/expiry.ts'
export type { Crc32, FrameRead, JournalFrame, SegmentFault, SegmentHeader, SegmentScan } from './audit/journal.ts'

// policy
export { actionTable, isActionGroup, isKnownUse, isResourceKind } from './policy/action.ts'
export type { ActionRow, ActionUse } from './policy/action.ts'
export { builtinPolicies, calleeRole, gatewayRole, ownRoute, ownRoutes, ownServers } from './policy/builtin.ts'
export type { OwnRoute } from './policy/builtin.ts'
export { readArguments, writeArgumentType } from './policy/argument-type.ts'
export type { ArgumentMember, ArgumentType, Arguments } from './policy/argument-type.ts'
export { readPolicy } from './policy/cedar/expression.ts'
export { looksAt as policyLooksAt } from './policy/cedar/reads.ts'
export { inferArguments } from './policy/inferred-arguments.ts'
export { mayApplyToPrompt, mayApplyToServer, mayApplyToTool, reachesOwnApi } from './policy/reach.ts'
export type { Policy } from './policy/cedar/expression.ts'
export type { CedarPolicy } from './policy/cedar-text.ts'
export { boundRoles } from './policy/binding-index.ts'
export { ApprovalDuties, approverOf, approversIn, isApprovalDuty } from './policy/approval-duties.ts'
export type { ApprovalRule } from './policy/approval-duties.ts'
export { compilePolicy } from './policy/compile.ts'
export type { CompileResult, CompiledPolicy } from './policy/compile.ts'
export { matchesName, readNamePattern } from './policy/name-pattern.ts'
export type { NamePattern } from './policy/name-pattern.ts'
export { isServerName, parsePermission, permissionCovers, permissionFor } from './policy/permission.ts'
export type { Permission, PermissionVerb } from './policy/permission.ts'
export { PartyRoles } from './policy/party-roles.ts'
export { readTokenScope, scopeCovers, scopeMayCover, widerPermission } from './policy/token-scope.ts'
export { PolicyJudge } from './policy/policy-judge.ts'
export { rolePolicies } from './policy/role-policies.ts'
export { argumentSchema, policySchema } from './policy/schema.ts'
export type {
  ApprovalsSource,
  Binding,
  BindingSource,
  KnownTool,
  PolicyFile,
  PolicySource,
  RolePermissions,
  SubjectBinding,
} from './policy/source.ts'
export { deniedUnknown } from './policy/verdict.ts'

// policy (what can be said about it)
export { analyse } from './policy/analysis.ts'
export type { Analysis } from './policy/analysis.ts'
export type { Finding } from './policy/analysis-finding.ts'
export { unknownArguments } from './policy/analysis-arguments.ts'
export { unknownNames } from './policy/analysis-names.ts'
export type { KnownNames } from './policy/analysis-names.ts'
export { guesses, nearestName } from './policy/analysis-suggestion.ts'
export { PolicyCoverage } from './policy/coverage.ts'
export type { CoverageReport, PolicyUse } from './policy/coverage.ts'
export { PolicyExplainer } from './policy/explain.ts'
export type { Explanation, PartyAccount, PolicyAccount, Shortfall } from './policy/explain.ts'
export { prospectOf } from './policy/explain-prospect.ts'
export type { Prospect, Unknowns } from './policy/explain-prospect.ts'

// identity (certificates, trust state)
export { readCertificate } from './identity/certificate.ts'
export type { CertificateProblem, PeerCertificate } from './identity/certificate.ts'
export { checkSvidLeaf } from './identity/svid-profile.ts'
export type { CertificateExtensions } from './identity/certificate-extensions.ts'
export {
  anchorName,
  anchorTemplate,
  buildCertificate,
  newSerial,
  selfSignedForKey,
  svidTemplate,
} from './identity/certificate-template.ts'
export type { AnchorContents, CertificateTemplate, IssuerName, SvidContents } from './identity/certificate-template.ts'
export { acmeChallengeTemplate, certificationRequest } from './identity/acme-certificate.ts'
export type { ChallengeContents, RequestContents } from './identity/acme-certificate.ts'
export { readJoinState } from './identity/join-state.ts'
export type { JoinStateParts } from './identity/join-state.ts'
export { commonNames } from './identity/distinguished-name.ts'
export { foreignPath, foreignPathLength } from './identity/foreign-path.ts'
export type { ForeignPathCheck } from './identity/foreign-path.ts'
export { x509ProofBytes } from './identity/x509-proof.ts'
export { checkEndEntity, issuerOf, pathValidity } from './identity/certification-path.ts'
export type { ChainProblem, LeafProblem } from './identity/certification-path.ts'
export { chainsToAnchor, checkAnchor } from './identity/chain.ts'
export type { AnchorCertificate } from './identity/chain.ts'
export { checkCrl, readCrl } from './identity/crl.ts'
export type { CrlProblem, RevocationList, RevocationReason, RevokedSerial } from './identity/crl.ts'
export { buildCrl, crlPem } from './identity/crl-template.ts'
export type { CrlContents } from './identity/crl-template.ts'
export { connectionLife } from './identity/connection-life.ts'
export type { ConnectionLife } from './identity/connection-life.ts'
export { ecdsaFromDer, ecdsaToDer } from './identity/ecdsa-signature.ts'
export { jwkThumbprint, keyIdOf, p256JwkOfSpki, readP256Jwk, spkiOfP256Jwk } from './identity/jwk.ts'
export { DecodedStates } from './identity/decoded-states.ts'
export { importingOnce } from './identity/known-keys.ts'
export { MAX_DELEGATED_KEYS, openDelegation, readSignedDelegation, signDelegation } from './identity/delegation.ts'
export type { DelegationCheck, OpenedDelegation, SignedDelegation } from './identity/delegation.ts'
export { decodeTrustState, encodeTrustState, isTrustScope, trustStateLimits } from './identity/trust-state-codec.ts'
export { openTrustState, signEncodedState, signTrustState, trustStateDigest } from './identity/signed-trust-state.ts'
export { TrustStateEncoder } from './identity/trust-state-encoder.ts'
export type {
  OpenedTrustState,
  SignedTrustState,
  TrustStateCheck,
  TrustStateVersion,
} from './identity/signed-trust-state.ts'
export {
  openTrustAnchors,
  readSignedTrustAnchors,
  signTrustAnchors,
  trustAnchorsBytes,
} from './identity/trust-anchors.ts'
export type { SignedTrustAnchors, TrustAnchors, TrustAnchorsCheck } from './identity/trust-anchors.ts'
export { openHeartbeat, signHeartbeat } from './identity/heartbeat.ts'
export type { HeartbeatCheck, OpenedHeartbeat, SignedHeartbeat } from './identity/heartbeat.ts'
export type { StatementRefusal } from './identity/signed-statement.ts'
export { parseTrustMessage, trustMessageBytes } from './identity/trust-message.ts'
export type { TrustMessage } from './identity/trust-message.ts'
export { encodeTrustBundle, parseTrustBundle } from './identity/trust-bundle.ts'
export type { JwtBundleKey, TrustBundle } from './identity/trust-bundle.ts'
export { encodeJoinString, parseJoinString } from './identity/join-string.ts'
export type { JoinString } from './identity/join-string.ts'

// identity (registrations)
export type { AttestationEntry, CertificateEntry } from './identity/attestation-entry.ts'
export type { DocumentKeys, DocumentProblem } from './identity/document-reader.ts'
export { readIpAddress } from './identity/address-text.ts'
export {
  isReservedId,
  readWorkloadDocument,
  sortedAttestations,
  workloadChanges,
  workloadLimits,
} from './identity/workload-document.ts'
export type { WorkloadChange, WorkloadCheck, WorkloadDocument } from './identity/workload-document.ts'

// token
export { chainClaim, epochClaim, tokenLimits, userClaim } from './token/claims.ts'
export type { AccessTokenClaims, ActClaim, TokenCode, UserClaim } from './token/claims.ts'
export { actorsOf, heldLinks, partiesProblem } from './token/act-chain.ts'
export { readScopeText } from './token/read-delegation.ts'
export { mintUserIdentity, userIdentitySeconds, verifyUserIdentity } from './token/user-identity.ts'
export type { UserIdentityCheck, UserIdentityClaims, VerifiedUserIdentity } from './token/user-identity.ts'
export { loginNonce, loginProofBytes, loginProofSeconds } from './token/login-proof.ts'
export type { LoginProof } from './token/login-proof.ts'
export { assertedParties, assertionSeconds, mintAssertion, verifyAssertion } from './token/principal-assertion.ts'
export type { PrincipalAssertionClaims, VerifiedAssertion } from './token/principal-assertion.ts'
export { frontTokenFits, mintFrontToken, verifyFrontToken } from './token/front-token.ts'
export type { FrontTokenCheck, FrontTokenClaims, VerifiedFrontToken } from './token/front-token.ts'
export { answersAt, isOwnPlace, isRedirectUri } from './token/redirect-uri.ts'
export { keySetOf } from './token/key-set.ts'
export type { TokenKeySet } from './token/key-set.ts'
export { mintToken } from './token/mint.ts'
export { signCompactJws } from './token/sign-compact-jws.ts'
export type { TokenSigner } from './token/sign-compact-jws.ts'
export { mintJwtSvid, verifyJwtSvid } from './token/jwt-svid.ts'
export type { JwtSvidCheck, JwtSvidClaims, VerifiedJwtSvid } from './token/jwt-svid.ts'
export type { JwtSvid } from './token/jwt-svid-claims.ts'
export { isJwtSvidAlgorithm, jwtSvidAlgorithms, jwtSvidKeysOf } from './token/jwt-svid-keys.ts'
export type { JwtSvidAlgorithm, JwtSvidKey } from './token/jwt-svid-keys.ts'
export { signedClaims } from './token/signed-claims.ts'
export type { SignedClaims } from './token/signed-claims.ts'
export { boundToCertificate } from './token/proof-of-possession.ts'
export { accessTokenHash, dpopLimits, dpopProblem, readDpopProof } from './token/dpop.ts'
export type { DpopCheck, DpopClaims, DpopExpectation, DpopProof, DpopRefusal } from './token/dpop.ts'
export { proofAlgorithms, publicJwkThumbprint, readPublicJwk } from './token/public-jwk.ts'
export type { ImportPublicKey, ProofAlgorithm, PublicJwk } from './token/public-jwk.ts'
export { verifySubjectToken, verifyToken } from './token/verify.ts'
export type { TokenCheck, TokenVerdict } from './token/verify.ts'
export { openCompactJws } from './token/compact-jws.ts'
export type { JwsCheck, TokenRefusal } from './token/compact-jws.ts'
export { foreignTokenBytes, issuerAlgorithms } from './token/foreign-jws.ts'
export type { ForeignHeader, ForeignJws, IssuerAlgorithm } from './token/foreign-jws.ts'
export { readIdToken, readIssuerToken } from './token/issuer-token.ts'
export type { IssuerHeader, IssuerToken } from './token/issuer-token.ts'
export { judgeIdToken, judgeIssuerClaims, mapIssuerClaims } from './token/issuer-claims.ts'
export type { ClaimRules, IdTokenExpectation, IssuerClaims, IssuerExpectation } from './token/issuer-claims.ts'
export { claimAt, judgePlatformClaims, platformAlgorithms, readPlatformToken } from './token/platform-token.ts'
export type { PlatformAlgorithm, PlatformExpectation, PlatformToken } from './token/platform-token.ts'
export type { TokenExpectation } from './token/judge-claims.ts'

// json
export { exactJson } from './json/exact-json.ts'
export { cutMembers, itemSpans, memberSpan, spliceItems, spliceSpans } from './json/item-spans.ts'
export type { ArraySpans, ByteSpan, SpanEdit } from './json/item-spans.ts'
export { DEFAULT_JSON_LIMITS } from './json/limits.ts'
export type { JsonLimits } from './json/limits.ts'
export { isJsonObject, member } from './json/object.ts'
export { canonicalJson } from './kept/canonical-json.ts'
export { keepMembers } from './kept/keep-members.ts'
export type { KeepOptions, KeptMembers } from './kept/keep-members.ts'
export { compileKeepRules, keepRuleFor, takesAll } from './kept/keep-rules.ts'
export type { KeepRule, KeepRules } from './kept/keep-rules.ts'
export { compilePaths } from './kept/member-paths.ts'
export type { KeepMode, KeepNode, KeepPaths, PathProblem } from './kept/member-paths.ts'
export { REDACTED, textWithoutSecrets, withoutSecrets } from './kept/secret-filter.ts'
export { isEndpointPath, isRpcMethod, readRpcCall } from './json/rpc-call.ts'
export { scanJson } from './json/scan.ts'
export type { JsonRefusal, JsonRefusalCode, JsonScan } from './json/scan.ts'

// a2a
export { readA2aAnswer } from './a2a/answer.ts'
export type { A2aAnswer, A2aListed } from './a2a/answer.ts'
export { cardPath, parseAgentCard, readAgentCard, shownCard, signedForms } from './a2a/card.ts'
export type { AgentCard } from './a2a/card.ts'
export { a2aErrors, classifyA2a } from './a2a/classify.ts'
export type { A2aRefusal, A2aRequest } from './a2a/classify.ts'
export type { A2aVersion } from './a2a/method.ts'
export { a2aProofs } from './a2a/names.ts'
export type { A2aName, A2aNameKind } from './a2a/names.ts'

// mcp
export { mcpAction, partAction } from './mcp/action.ts'
export type { McpAction, ToolEffect, ToolEffects } from './mcp/action.ts'
export type {
  Classified,
  ClassifiedNotification,
  ClassifiedRequest,
  ClassifiedResponse,
  ClassifiedSessionOperation,
} from './mcp/classified.ts'
export { declaredCapabilities, hasLookalikeCapability, withoutCapabilities } from './mcp/capabilities.ts'
export type { CapabilityUse, ServerCapability } from './mcp/capabilities.ts'
export { classifyMcp, namesModernVersion } from './mcp/classify.ts'
export type { McpExchange } from './mcp/classify.ts'
export { DISCOVER_HEADERS, DISCOVER_REQUEST, knownVersions, readDiscovery } from './mcp/discovery.ts'
export type { Discovered } from './mcp/discovery.ts'
export { errorBody, refusalBody, toolDenialResult } from './mcp/denial-body.ts'
export { LIST_LIMITS, filterListResult } from './mcp/list-filter.ts'
export type { FilteredList } from './mcp/list-filter.ts'
export { isRequestId, parseMessage } from './mcp/message.ts'
export type { MalformedMessage, McpMessage, RequestId } from './mcp/message.ts'
export type {
  ClientMethod,
  Era,
  ListRule,
  McpSubject,
  MethodGroup,
  Revision,
  ServerMethod,
  SubjectRule,
} from './mcp/method.ts'
export { SERVER_SUBJECT } from './mcp/method.ts'
export { decodeMirrored, encodeMirrored, trimHeader } from './mcp/mirrored-headers.ts'
export type { McpHeaders } from './mcp/mirrored-headers.ts'
export { modernResultProblem } from './mcp/modern-result.ts'
export { refuseJson } from './mcp/refusal.ts'
export type { McpRefusal, McpRefusalCode } from './mcp/refusal.ts'
export {
  DEFAULT_VERSION,
  LEGACY_VERSIONS,
  MODERN_VERSIONS,
  REVISIONS,
  SUPPORTED_VERSIONS,
  isModernVersion,
  legacyRevision,
  negotiatedVersion,
} from './mcp/revisions.ts'
export { classifyServerMessage, isCapable } from './mcp/server-message.ts'
export type { ElicitationMode, ServerMessage, ServerMessageRefusal } from './mcp/server-message.ts'

// rate
export { chargeCell, takeCell } from './rate.ts'
export type { CellRate, CellVerdict } from './rate.ts'

// strict reading of scanned JSON
export { distinct, exactObject, isCount, isSeconds, isText, readList } from './identity/strict-members.ts'

// integrity
export {
  definitionDigest,
  definitionKey,
  definitionsDigest,
  isDefinitionKind,
  listedDefinitions,
  serverDefinitions,
} from './integrity/definition.ts'
export type { Definition, DefinitionKind } from './integrity/definition.ts'
export { definitionChanges } from './integrity/definition-change.ts'
export type { DefinitionChange, MemberChange } from './integrity/definition-change.ts'
export { definitionFlags, flaggedDefinitions, isGrave, proposedEffect } from './integrity/definition-flags.ts'
export type { Flag, FlagCode, FlaggedDefinition, OtherServer } from './integrity/definition-flags.ts'
export { spelledOut } from './integrity/text-flags.ts'

// output
export { checkSchema } from './output/schema-check.ts'
export type { SchemaVerdict } from './output/schema-check.ts'
export { SecretStream } from './output/secret-stream.ts'
export { withoutSecretsInJson, withoutSecretTexts } from './output/secret-texts.ts'
export type { FilteredTexts } from './output/secret-texts.ts'
