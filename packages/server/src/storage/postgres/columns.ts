/** Columns by name: a star would change its meaning, and break statements already parsed, when a later release adds one. */

export const registrationColumns =
  'id, roles, ttl_seconds, dns_names, ip_addresses, shared_names, attestation, single_instance, canary, audiences, created_at, updated_at, revision'
export const tokenColumns = 'hash, id, created_at, expires_at, used_at'
export const instanceColumns =
  'instance, id, jwk, attested_by, bound_at, seen_at, sequence, current, offered, offered_serial, locked_at, locked_reason'
/** Of an instance, for the judgement of join states. */
export const stateColumns = 'instance, sequence, current, offered, offered_serial, locked_at, locked_reason, seen_at'
export const issuanceColumns =
  'serial, id, anchor_key_id, authority, instance, predecessor, public_key_hash, not_before, not_after, intended_at, state, fingerprint'
export const slotColumns =
  'key_id, key_name, purpose, authority, state, jwk, certificate, not_after, prepared_at, published_at, activated_at, retired_at, epoch, ceremony, reissue'
export const denialColumns = 'kind, value, issued_before, lapses_at, reason'
export const authorityColumns =
  'instance, name, fence, holder, program, place, trust_key, trust_keys, log, started_at, seen_at'
