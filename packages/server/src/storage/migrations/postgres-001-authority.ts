/**
 * First schema of the authority's store on PostgreSQL. Times are whole seconds since the epoch, or milliseconds where the
 * column of the port says so; lists and documents are JSON as it was written; text sorts by its bytes.
 */

export const postgresAuthoritySchema = `
CREATE DOMAIN words AS text COLLATE "C";

CREATE TABLE domain (
  one integer PRIMARY KEY CHECK (one = 1),
  trust_domain words NOT NULL,
  root words NOT NULL,
  epoch bigint NOT NULL,
  founded_at bigint NOT NULL,
  registry bigint NOT NULL DEFAULT 0
);

CREATE TABLE registrations (
  id words PRIMARY KEY,
  roles words NOT NULL,
  ttl_seconds bigint NOT NULL,
  dns_names words NOT NULL,
  ip_addresses words NOT NULL,
  shared_names integer NOT NULL CHECK (shared_names IN (0, 1)),
  attestation words NOT NULL,
  single_instance integer NOT NULL CHECK (single_instance IN (0, 1)),
  canary integer NOT NULL CHECK (canary IN (0, 1)),
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  revision bigint NOT NULL
);

CREATE TABLE dns_names (
  name words NOT NULL,
  id words NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
  PRIMARY KEY (name, id)
);
CREATE INDEX dns_names_by_id ON dns_names (id);

CREATE TABLE removed_ids (
  id words PRIMARY KEY,
  removed_at bigint NOT NULL
);
CREATE INDEX removed_ids_by_time ON removed_ids (removed_at);

CREATE TABLE join_tokens (
  hash words PRIMARY KEY,
  id words NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  used_at bigint
);
CREATE INDEX join_tokens_by_id ON join_tokens (id);
CREATE INDEX join_tokens_by_expiry ON join_tokens (expires_at);

CREATE TABLE used_proofs (
  hash words PRIMARY KEY,
  expires_at bigint NOT NULL
);
CREATE INDEX used_proofs_by_expiry ON used_proofs (expires_at);

CREATE TABLE instances (
  instance words PRIMARY KEY,
  id words NOT NULL REFERENCES registrations (id) ON DELETE CASCADE,
  jwk words NOT NULL,
  machine_key words NOT NULL UNIQUE,
  attested_by words NOT NULL,
  bound_at bigint NOT NULL,
  seen_at bigint NOT NULL,
  sequence bigint NOT NULL DEFAULT 0,
  offers bigint NOT NULL DEFAULT 0,
  current words,
  offered words,
  offered_serial words,
  locked_at bigint,
  locked_reason words
);
CREATE INDEX instances_by_id ON instances (id, seen_at);

CREATE TABLE issuance (
  serial words PRIMARY KEY,
  id words NOT NULL,
  anchor_key_id words NOT NULL,
  authority words NOT NULL,
  instance words,
  predecessor words,
  public_key_hash words NOT NULL,
  not_before bigint NOT NULL,
  not_after bigint NOT NULL,
  intended_at bigint NOT NULL,
  state words NOT NULL CHECK (state IN ('intended', 'signed', 'released', 'void')),
  fingerprint words UNIQUE,
  release_mark xid8,
  CHECK (state IN ('intended', 'void') OR fingerprint IS NOT NULL)
);
CREATE INDEX issuance_live ON issuance (not_after) WHERE state = 'released';
CREATE INDEX issuance_by_release ON issuance (release_mark) WHERE release_mark IS NOT NULL;
CREATE INDEX issuance_open ON issuance (authority) WHERE state IN ('intended', 'signed');
CREATE INDEX issuance_by_id ON issuance (id, not_after);
CREATE INDEX issuance_by_instance ON issuance (instance, not_after);
CREATE INDEX issuance_by_predecessor ON issuance (predecessor) WHERE predecessor IS NOT NULL;

CREATE TABLE key_slots (
  key_id words PRIMARY KEY,
  key_name words NOT NULL UNIQUE,
  purpose words NOT NULL CHECK (purpose IN ('anchor', 'token')),
  authority words NOT NULL,
  state words NOT NULL CHECK (state IN ('prepared', 'published', 'active', 'retired')),
  jwk words NOT NULL,
  certificate bytea,
  not_after bigint NOT NULL,
  prepared_at bigint NOT NULL,
  published_at bigint,
  activated_at bigint,
  retired_at bigint,
  epoch bigint NOT NULL,
  ceremony words,
  reissue integer NOT NULL DEFAULT 0 CHECK (reissue IN (0, 1))
);
CREATE UNIQUE INDEX key_slots_one_active ON key_slots (purpose, authority) WHERE state = 'active';

CREATE TABLE denials (
  kind words NOT NULL CHECK (kind IN ('identity', 'serial', 'token', 'authority')),
  value words NOT NULL,
  issued_before bigint NOT NULL,
  lapses_at bigint NOT NULL,
  reason words NOT NULL,
  PRIMARY KEY (kind, value)
);
CREATE INDEX denials_by_lapse ON denials (lapses_at);

CREATE TABLE delegations (
  version bigint PRIMARY KEY,
  expires_at bigint NOT NULL,
  message words NOT NULL
);

CREATE TABLE trust_states (
  sequence bigint PRIMARY KEY,
  delegation bigint NOT NULL,
  message words NOT NULL,
  anchors words NOT NULL,
  callers_sequence bigint NOT NULL,
  callers_message words NOT NULL
);

CREATE TABLE authorities (
  instance words PRIMARY KEY,
  name words NOT NULL UNIQUE,
  fence bigint NOT NULL,
  holder words NOT NULL,
  program words NOT NULL,
  place words,
  trust_key words,
  log words,
  started_at bigint NOT NULL,
  seen_at bigint NOT NULL
);

CREATE TABLE acks (
  id words NOT NULL,
  scope words NOT NULL CHECK (scope IN ('full', 'callers')),
  delegation bigint NOT NULL,
  sequence bigint NOT NULL,
  at bigint NOT NULL,
  authority words NOT NULL,
  PRIMARY KEY (id, scope)
);

CREATE TABLE ceremonies (
  id words PRIMARY KEY,
  stage words NOT NULL,
  started_at bigint NOT NULL,
  document words NOT NULL
);
CREATE UNIQUE INDEX ceremonies_one_open ON ceremonies ((true)) WHERE stage NOT IN ('done', 'failed');

CREATE TABLE contributions (
  ceremony words NOT NULL REFERENCES ceremonies (id) ON DELETE CASCADE,
  authority words NOT NULL,
  trust_key words NOT NULL,
  PRIMARY KEY (ceremony, authority)
);

CREATE TABLE alarms (
  detector words NOT NULL,
  subject words NOT NULL,
  detail words NOT NULL,
  source words NOT NULL,
  first_at bigint NOT NULL,
  last_at bigint NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (detector, subject)
);

CREATE TABLE crls (
  key_id words PRIMARY KEY,
  number bigint NOT NULL,
  this_update bigint NOT NULL,
  next_update bigint NOT NULL,
  der bytea NOT NULL
);
`
