/** First schema of the authority's store. Times are whole seconds since the epoch; lists are JSON. */

export const authoritySchema = `
CREATE TABLE domain (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  trust_domain TEXT NOT NULL,
  root TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  founded_at INTEGER NOT NULL
) STRICT;

CREATE TABLE registrations (
  id TEXT PRIMARY KEY,
  roles TEXT NOT NULL,
  ttl_seconds INTEGER NOT NULL,
  dns_names TEXT NOT NULL,
  ip_addresses TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE join_tokens (
  hash TEXT PRIMARY KEY,
  id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX join_tokens_by_id ON join_tokens (id);
CREATE INDEX join_tokens_by_expiry ON join_tokens (expires_at);

CREATE TABLE machine_keys (
  id TEXT PRIMARY KEY REFERENCES registrations (id) ON DELETE CASCADE,
  jwk TEXT NOT NULL,
  bound_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE issuance (
  serial TEXT PRIMARY KEY,
  id TEXT NOT NULL,
  anchor_key_id TEXT NOT NULL,
  authority TEXT NOT NULL,
  public_key_hash TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  intended_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('intended', 'signed', 'released', 'void')),
  fingerprint TEXT UNIQUE,
  CHECK (state IN ('intended', 'void') OR fingerprint IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX issuance_live ON issuance (not_after) WHERE state = 'released';
CREATE INDEX issuance_open ON issuance (authority) WHERE state IN ('intended', 'signed');
CREATE INDEX issuance_by_id ON issuance (id, not_after);

CREATE TABLE key_slots (
  key_id TEXT PRIMARY KEY,
  key_name TEXT NOT NULL UNIQUE,
  purpose TEXT NOT NULL CHECK (purpose IN ('anchor', 'token')),
  authority TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('prepared', 'published', 'active', 'retired')),
  jwk TEXT NOT NULL,
  certificate BLOB,
  not_after INTEGER NOT NULL,
  prepared_at INTEGER NOT NULL,
  published_at INTEGER,
  activated_at INTEGER,
  retired_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX key_slots_one_active ON key_slots (purpose, authority) WHERE state = 'active';

CREATE TABLE denials (
  kind TEXT NOT NULL CHECK (kind IN ('identity', 'serial', 'token', 'authority')),
  value TEXT NOT NULL,
  issued_before INTEGER NOT NULL,
  lapses_at INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE delegations (
  version INTEGER PRIMARY KEY,
  key_name TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  message TEXT NOT NULL
) STRICT;

CREATE TABLE trust_states (
  sequence INTEGER PRIMARY KEY,
  delegation INTEGER NOT NULL,
  message TEXT NOT NULL
) STRICT;
`
