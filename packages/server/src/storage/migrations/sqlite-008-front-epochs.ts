/**
 * Who shares room with whom among the steps of a front, and in which epoch people have agreed. Refresh tokens have another form
 * from here on: steps and grants of before are of no use, and people sign in again.
 */

export const frontEpochsSchema = `
DELETE FROM front_steps;
DELETE FROM front_grants;
ALTER TABLE front_steps ADD COLUMN source TEXT NOT NULL DEFAULT '';
CREATE INDEX front_steps_by_source ON front_steps (kind, source);
ALTER TABLE front_consents ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
`
