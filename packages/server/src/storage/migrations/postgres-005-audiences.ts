/** Audiences of workloads that are called by others; each belongs to one. Programs of before leave those that are there as they are. */

export const postgresAudiencesSchema = `
ALTER TABLE registrations ADD COLUMN audiences words NOT NULL DEFAULT '[]';

CREATE TABLE audiences (
  audience words PRIMARY KEY,
  id words NOT NULL REFERENCES registrations (id) ON DELETE CASCADE
);
CREATE INDEX audiences_by_id ON audiences (id);
`
