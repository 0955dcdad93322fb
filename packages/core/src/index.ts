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
export {
  HASH_BYTES,
  TILE_WIDTH,
  TreeEdge,
  completeRoot,
  emptyRoot,
  foldPeaks,
  leafHash,
  nodeHash,
  rangeRoot,
  subtreesOf,
} from './audit/merkle-tree.ts'
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
export { buildInclusionProof, verifyInclusion } from './audit/inclusion-proof.ts'
export { buildConsistencyProof, verifyConsistency } from './audit/consistency-proof.ts'
export { formatVerifierKey, openNote, parseNote, parseVerifierKey, signNote, verifierKey } from './audit/signed-note.ts'
export type { NoteSigner, NoteVerifier, VerifierKey } from './audit/signed-note.ts'
export { claimedOrigin, formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from './audit/checkpoint.ts'
export type { Checkpoint, SignedCheckpoint } from './audit/checkpoint.ts'
export {
  CHECKPOINT_FILE,
  FRAME_HEADER_BYTES,
  MAX_SEGMENT_HEADER_BYTES,
  SEGMENTS_FOLDER,
  encodeFrames,
  encodeSegmentHeader,
  parseSegmentHeader,
  parseSegmentName,
  readFrame,
  scanSegment,
  segmentName,
} from './audit/journal.ts'
export type { Crc32, FrameRead, JournalFrame, SegmentFault, SegmentHeader, SegmentScan } from './audit/journal.ts'
