/** The one decision path, for gateway, sidecar and SDK alike, and beside it the wire that they share; neither knows a database. */

// pipeline
export { authorize, couldCall, couldCallSome } from './authorize.ts'
export type { Authorized } from './authorize.ts'
export { CertificateStanding } from './certificate-standing.ts'
export type { AcceptedToken, VerifiedLeaf } from './certificate-standing.ts'
export { connectionProblem } from './connection-problem.ts'
export { classify } from './classify.ts'
export type { Call, Classified, Classifier, ExactCall } from './classify.ts'
export { denialRow, denialTable, deny, isDenial, isDenialCode } from './denial.ts'
export type { AskedApproval, AskedConsent, Denial, DenialCode, ExhaustedLimit, PartialCaller } from './denial.ts'
export { identify, identifyAsker, identifyEnrolment } from './identify.ts'
export { takePerson } from './user-limit.ts'
export { edgeCaller, identifyEdge } from './identify-edge.ts'
export type { EdgeCaller } from './identify-edge.ts'
export type { EdgeRules, ProofRules } from './edge-rules.ts'
export { provenKey } from './proof-use.ts'
export { missingScope, scopeOf } from './scopes.ts'
export type { Identified, IdentifyDependencies, IdentifySettings, RequiredCredential } from './identify.ts'
export type { Asker, Connection, Inbound, RequestHead } from './inbound.ts'
export { KeptContent } from './kept-content.ts'
export type { KeptCall, ResultKeeper } from './kept-content.ts'
export { MemoryRateLimiter } from './memory-rate-limiter.ts'
export { KnownIdentities } from './known-identities.ts'
export { CallHold, CallPlaces } from './call-hold.ts'
export type { CallHoldParts } from './call-hold.ts'
export { limit, limitArrival } from './limit.ts'
export type { Admitted, ConnectionLimits, QuotaParts } from './limit.ts'
export type { Quota } from './quota.ts'
export { defaultLoadLimits, LoadShedding } from './load-shedding.ts'
export type { LoadLevel, LoadLimits, LoadRefusal } from './load-shedding.ts'
export { ownerOf } from './owner.ts'
export { Permit } from './permit.ts'
export { isRefusal, Pipeline } from './pipeline.ts'
export type {
  EnforceOptions,
  PipelineDependencies,
  PipelineTuning,
  PipelineWatch,
  ReadBody,
  Refusal,
} from './pipeline.ts'
export type {
  DecisionPort,
  IssuedToken,
  IssuedTokenRefusal,
  IssuerTokens,
  ProofNonces,
  Rate,
  RateLimiter,
  ReplayGuard,
  Take,
  TakeResult,
  TrustSource,
  TrustView,
} from './ports.ts'
export { record, recordOutcome, recordRefusal } from './record.ts'
export type { Outcome, RefusalEntry } from './record.ts'
export { StageTimes } from './stage-times.ts'
export type { TimedStage } from './stage-times.ts'
export { sightingReasons, Sightings } from './sightings.ts'
export type { Sighting, SightingReason, SightingsDependencies } from './sightings.ts'
export { TrustHolder, trustViewOf } from './trust-holder.ts'
export type { TrustHolderDependencies } from './trust-holder.ts'

// MCP
export { cancellation } from './mcp/cancellation.ts'
export { pendingRequest } from './mcp/call-scope.ts'
export { LoneMessage } from './mcp/lone-message.ts'
export { beginIn } from './mcp/session-begins.ts'
export { filteredList, mayKnow } from './mcp-list.ts'
export type { ListReader } from './mcp-list.ts'
export { isMediaType } from './media-type.ts'
export { contentProblem, isModern, parameterProblem, readMcpMessage, rpcIdOf } from './mcp-message.ts'
export type { McpReading, ReadMcpMessage } from './mcp-message.ts'
export { noEffects, possibleEffects, toolEffects } from './tool-effects.ts'
export type { DeclaredEffects } from './tool-effects.ts'

export type { CallScope, PendingRequest } from './mcp/call-scope.ts'
export type { BeginTrace, CallTrace } from './call-trace.ts'
export { isEventName } from './mcp/event-names.ts'
export { exactAgentMessage, exactRequest, exactRpc } from './exact-call.ts'
export { Handles } from './mcp/handles.ts'
export type { HandleUse } from './mcp/handles.ts'
export { lasts, mcpClassifier } from './mcp/mcp-call.ts'
export type { McpCall, McpCallOptions } from './mcp/mcp-call.ts'
export { ModernRequest } from './mcp/modern-request.ts'
export { obligedError } from './mcp/output-obligations.ts'
export type { OutputObligations } from './mcp/output-obligations.ts'
export { judgeTraffic, looksLikeObject, refersTo } from './mcp/server-traffic.ts'
export type { ServerTraffic, TrafficOptions } from './mcp/server-traffic.ts'
export { defaultSessionLimits, idKey, sessionMustEnd, SessionTable } from './mcp/session.ts'
export type { McpSession, SessionLimits } from './mcp/session.ts'

// JSON-RPC
export { jsonType, messageProblem, rpcRequest } from './rpc-request.ts'
export type { RpcRequest, RpcRules } from './rpc-request.ts'

// record
export type { CheckpointStore } from './record/checkpoint-store.ts'
export type { AppendFile, Durability, FileContent, RecordDisk } from './record/disk.ts'
export { ed25519LogKey, importEd25519 } from './record/ed25519.ts'
export type { LogKey } from './record/ed25519.ts'
export { fileCheckpointStore } from './record/file-checkpoint-store.ts'
export { fileDisk } from './record/file-disk.ts'
export { FileRecord, RECORD_LIMITS } from './record/file-record.ts'
export type { RecordLimits, RecordStats } from './record/file-record.ts'
export { Witness } from './record/witness.ts'
export type { WitnessAnswer, WitnessParts } from './record/witness.ts'
export { WitnessedRecord } from './record/witnessed-record.ts'
export { memoryCheckpointStore } from './record/memory-checkpoint-store.ts'
export { openRecord } from './record/open-record.ts'
export type { OpenRecordOptions } from './record/open-record.ts'
export type { Record, RecordEntry } from './record/record.ts'
export { EntryReference } from './record/reference.ts'
export { setDamageAside, withLogLocked } from './record/accepted-damage.ts'
export type { AcceptedDamage } from './record/accepted-damage.ts'
export { Redaction } from './record/redaction.ts'
export type { Redacted, RedactionParts, RedactionRequest, RedactionStep } from './record/redaction.ts'
export { Retention } from './record/retention.ts'
export type { Expired, RetentionParts, RetentionRules, RetentionStep } from './record/retention.ts'
export { RefusalCounter } from './record/refusal-counter.ts'
export type { RefusalCounterOptions } from './record/refusal-counter.ts'

// wire
export type { NameProofs } from './wire/alpn.ts'
export { closeAfterAnswer, drainedOf, mostWaiting, send, sendJson, whenGone, writePart } from './wire/exchange.ts'
export type { AnswerHeaders, Exchange } from './wire/exchange.ts'
export { decisionIdOf, refusalAnswer, refusalMessage, sendRefusal } from './wire/denial-response.ts'
export type { RefusalAnswer, RefusalForm } from './wire/denial-response.ts'
export { judgedEvent, lastEvent, wholeAnswer } from './wire/mcp-answer.ts'
export type { AnswerReading, ToldAnswer, WholeAnswer } from './wire/mcp-answer.ts'
export { openAgentFilter } from './wire/agent-answer-filter.ts'
export type { AnswerFilter } from './wire/answer-filter.ts'
export { GrowingBytes } from './wire/growing-bytes.ts'
export { eventName, maxEventBytes, messageEvent, SseParser, withData, withFields, withoutData } from './wire/sse.ts'
export type { FieldsTold, SseEvent } from './wire/sse.ts'
export { readTarget } from './wire/request-path.ts'
export type { HandshakeReason } from './wire/handshake-refusal.ts'
export { defaultCipherSuites, defaultListenerLimits, openListener } from './wire/listener.ts'
export type { Listener, ListenerLimits, ListenerOptions, TlsMaterial } from './wire/listener.ts'
export { addressKey, networkKey, remoteAddressOf } from './wire/remote-address.ts'
export { groupOfMethod, queryProblem, routeName } from './wire/route-call.ts'

// standing (of open connections and calls)
export { standingProblem } from './certificate-standing.ts'
export { OpenCalls } from './open-calls.ts'
export type { OpenCall } from './open-calls.ts'
export { rolesNow } from './standing-decisions.ts'
export { certificateWithdrawal, personalWithdrawal, tokenWithdrawal, userWithdrawal, withdrawal } from './withdrawal.ts'
export type { PresentedToken, ShownCredentials } from './withdrawal.ts'

// detection
export { ClockSteps } from './detect/clock-steps.ts'
export { FailingServers } from './detect/failing-servers.ts'
export type { FailingServer, FailingThreshold } from './detect/failing-servers.ts'
export { allSubjects, detectorNames } from './detect/finding.ts'
export type { DetectorName, Found } from './detect/finding.ts'
export type { JumpThreshold } from './detect/rate-jump.ts'
export { RecordProgress } from './detect/record-progress.ts'
export type { ProgressFacts, ProgressProblem } from './detect/record-progress.ts'
export { RefusalRates } from './detect/refusal-rates.ts'
export type { RefusalRatesOptions, RefusalThresholds } from './detect/refusal-rates.ts'
export { findingKey, StandingFindings } from './detect/standing-findings.ts'
export type { StandingChange, StandingFinding } from './detect/standing-findings.ts'
export type { RateThreshold } from './detect/subject-rate.ts'

// approvals
export { ApprovalDesk, approvalEvents } from './approvals/approval-desk.ts'
export type {
  ApprovalDecision,
  ApprovalDeskParts,
  ApprovalEvent,
  ApprovalSettings,
  ApprovalStore,
  Approver,
  DecisionOutcome,
  DecisionRefusal,
  LinkTokens,
} from './approvals/approval-desk.ts'
export type { ApprovalAsk, ApprovalRequest, GivenApproval } from './approvals/approval-request.ts'
export type { ApproverGroup, ApproverGroups } from './approvals/approver.ts'
export type { ApprovalAnswer, ApprovalClaim, Approvals, WaitingFor } from './approvals/ports.ts'

// agents
export { AgentAnswers } from './agents/agent-answers.ts'
export { AgentNames } from './agents/agent-names.ts'
export { agentHeaders, agentRequest } from './agents/agent-request.ts'
export type { AgentRequest } from './agents/agent-request.ts'
export type { AgentScope } from './agents/agent-scope.ts'
export { revisionProblem } from './agents/card-rules.ts'
export { isSignedBy } from './agents/card-signature.ts'
export type { CardKeyOf } from './agents/card-signature.ts'
export { TaskOwners } from './agents/task-owners.ts'

// definitions
export { DefinitionGate } from './definitions/definition-gate.ts'
export type { DefinitionGateParts } from './definitions/definition-gate.ts'
export { KnownDefinitions, maxDefinitions } from './definitions/known-definitions.ts'
export type { ApprovalMode, DefinitionStanding, KnownDefinitionsParts } from './definitions/known-definitions.ts'
