/** What the front of an authority keeps: steps of browsers, grants of people, and what they have agreed to. */

export const frontSchema = `
CREATE TABLE front_steps (
  kind TEXT NOT NULL CHECK (kind IN ('sign-in', 'consent')),
  hash TEXT NOT NULL,
  browser TEXT NOT NULL,
  owner TEXT NOT NULL,
  document TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (kind, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX front_steps_by_owner ON front_steps (owner);
CREATE INDEX front_steps_by_end ON front_steps (expires_at);

CREATE TABLE front_grants (
  id TEXT PRIMARY KEY,
  person TEXT NOT NULL,
  code_hash TEXT NOT NULL UNIQUE,
  code_expires_at INTEGER NOT NULL,
  redeemed INTEGER NOT NULL CHECK (redeemed IN (0, 1)),
  refresh_hash TEXT,
  jkt TEXT,
  epoch INTEGER NOT NULL,
  tokens TEXT NOT NULL,
  document TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX front_grants_by_person ON front_grants (person);
CREATE INDEX front_grants_by_end ON front_grants (expires_at);

CREATE TABLE front_consents (
  person TEXT NOT NULL,
  client TEXT NOT NULL,
  redirect TEXT NOT NULL,
  resource TEXT NOT NULL,
  scopes TEXT NOT NULL,
  granted_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (person, client, redirect, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX front_consents_by_end ON front_consents (expires_at);
`
