/** Audiences of workloads that are called by others; each belongs to one. */

export const audiencesSchema = `
ALTER TABLE registrations ADD COLUMN audiences TEXT NOT NULL DEFAULT '[]';

CREATE TABLE audiences (
  audience TEXT PRIMARY KEY,
  id TEXT NOT NULL REFERENCES registrations (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX audiences_by_id ON audiences (id);
`
