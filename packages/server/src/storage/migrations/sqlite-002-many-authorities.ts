/** Instances with join states, several authorities, ceremonies, acknowledgements, alarms and CRLs. */

export const manyAuthoritiesSchema = `
ALTER TABLE registrations ADD COLUMN attestation TEXT NOT NULL DEFAULT '[{"kind":"join_token"}]';
ALTER TABLE registrations ADD COLUMN single_instance INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registrations ADD COLUMN canary INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registrations ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registrations ADD COLUMN shared_names INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registrations ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
UPDATE registrations SET updated_at = created_at;

ALTER TABLE domain ADD COLUMN registry INTEGER NOT NULL DEFAULT 0;

CREATE TABLE dns_names (
  name TEXT NOT NULL,
  id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
  PRIMARY KEY (name, id)
) STRICT, WITHOUT ROWID;
INSERT INTO dns_names (name, id)
  SELECT DISTINCT names.value, registrations.id FROM registrations, json_each(registrations.dns_names) AS names;
CREATE INDEX dns_names_by_id ON dns_names (id);

CREATE TABLE removed_ids (
  id TEXT PRIMARY KEY,
  removed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_ids_by_time ON removed_ids (removed_at);

CREATE TABLE instances (
  instance TEXT PRIMARY KEY,
  id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
  jwk TEXT NOT NULL,
  machine_key TEXT NOT NULL UNIQUE,
  attested_by TEXT NOT NULL,
  bound_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  sequence INTEGER NOT NULL DEFAULT 0,
  offers INTEGER NOT NULL DEFAULT 0,
  current TEXT,
  offered TEXT,
  offered_serial TEXT,
  locked_at INTEGER,
  locked_reason TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO instances (instance, id, jwk, machine_key, attested_by, bound_at, seen_at)
  SELECT lower(hex(randomblob(8))), id, jwk, json_extract(jwk, '$.x') || '.' || json_extract(jwk, '$.y'), 'join_token', bound_at, bound_at
  FROM machine_keys;
DROP TABLE machine_keys;
CREATE INDEX instances_by_id ON instances (id, seen_at);

CREATE TABLE used_proofs (
  hash TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_proofs_by_expiry ON used_proofs (expires_at);

ALTER TABLE issuance ADD COLUMN instance TEXT;
ALTER TABLE issuance ADD COLUMN predecessor TEXT;
ALTER TABLE issuance ADD COLUMN release_mark INTEGER;
CREATE INDEX issuance_by_release ON issuance (release_mark) WHERE release_mark IS NOT NULL;
CREATE INDEX issuance_by_instance ON issuance (instance, not_after) WHERE state = 'released';
CREATE INDEX issuance_by_predecessor ON issuance (predecessor) WHERE predecessor IS NOT NULL;

ALTER TABLE key_slots ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
ALTER TABLE key_slots ADD COLUMN ceremony TEXT;
ALTER TABLE key_slots ADD COLUMN reissue INTEGER NOT NULL DEFAULT 0;

ALTER TABLE trust_states ADD COLUMN anchors TEXT NOT NULL DEFAULT '';
ALTER TABLE trust_states ADD COLUMN callers_sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trust_states ADD COLUMN callers_message TEXT NOT NULL DEFAULT '';

CREATE TABLE authorities (
  instance TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  fence INTEGER NOT NULL,
  holder TEXT NOT NULL,
  program TEXT NOT NULL,
  place TEXT,
  trust_key TEXT,
  log TEXT,
  started_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE acks (
  id TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('full', 'callers')),
  delegation INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  at INTEGER NOT NULL,
  authority TEXT NOT NULL,
  PRIMARY KEY (id, scope)
) STRICT, WITHOUT ROWID;

CREATE TABLE ceremonies (
  id TEXT PRIMARY KEY,
  stage TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX ceremonies_one_open ON ceremonies ((1)) WHERE stage NOT IN ('done', 'failed');

CREATE TABLE contributions (
  ceremony TEXT NOT NULL REFERENCES ceremonies (id) ON DELETE CASCADE,
  authority TEXT NOT NULL,
  trust_key TEXT NOT NULL,
  PRIMARY KEY (ceremony, authority)
) STRICT, WITHOUT ROWID;

CREATE TABLE alarms (
  detector TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  source TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (detector, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE crls (
  key_id TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  der BLOB NOT NULL
) STRICT, WITHOUT ROWID;
`
