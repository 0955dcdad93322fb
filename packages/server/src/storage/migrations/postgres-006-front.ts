/** What the front of an authority keeps: steps of browsers, grants of people, and what they have agreed to. */

export const postgresFrontSchema = `
CREATE TABLE front_steps (
  kind words NOT NULL CHECK (kind IN ('sign-in', 'consent')),
  hash words NOT NULL,
  browser words NOT NULL,
  owner words NOT NULL,
  document words NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (kind, hash)
);
CREATE INDEX front_steps_by_owner ON front_steps (owner);
CREATE INDEX front_steps_by_end ON front_steps (expires_at);

CREATE TABLE front_grants (
  id words PRIMARY KEY,
  person words NOT NULL,
  code_hash words NOT NULL UNIQUE,
  code_expires_at bigint NOT NULL,
  redeemed integer NOT NULL CHECK (redeemed IN (0, 1)),
  refresh_hash words,
  jkt words,
  epoch bigint NOT NULL,
  tokens words NOT NULL,
  document words NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL
);
CREATE INDEX front_grants_by_person ON front_grants (person);
CREATE INDEX front_grants_by_end ON front_grants (expires_at);

CREATE TABLE front_consents (
  person words NOT NULL,
  client words NOT NULL,
  redirect words NOT NULL,
  resource words NOT NULL,
  scopes words NOT NULL,
  granted_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  PRIMARY KEY (person, client, redirect, resource)
);
CREATE INDEX front_consents_by_end ON front_consents (expires_at);
`
