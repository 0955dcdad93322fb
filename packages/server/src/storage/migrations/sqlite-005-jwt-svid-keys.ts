/** Slots for keys that sign JWT-SVIDs. SQLite changes no check of a column, so the table is made anew. */

export const jwtSvidKeysSchema = `
CREATE TABLE key_slots_next (
  key_id TEXT PRIMARY KEY,
  key_name TEXT NOT NULL UNIQUE,
  purpose TEXT NOT NULL CHECK (purpose IN ('anchor', 'token', 'jwt-svid')),
  authority TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('prepared', 'published', 'active', 'retired')),
  jwk TEXT NOT NULL,
  certificate BLOB,
  not_after INTEGER NOT NULL,
  prepared_at INTEGER NOT NULL,
  published_at INTEGER,
  activated_at INTEGER,
  retired_at INTEGER,
  epoch INTEGER NOT NULL DEFAULT 1,
  ceremony TEXT,
  reissue INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO key_slots_next
  SELECT key_id, key_name, purpose, authority, state, jwk, certificate, not_after, prepared_at, published_at, activated_at,
    retired_at, epoch, ceremony, reissue
  FROM key_slots;
DROP TABLE key_slots;
ALTER TABLE key_slots_next RENAME TO key_slots;
CREATE UNIQUE INDEX key_slots_one_active ON key_slots (purpose, authority) WHERE state = 'active';
`
