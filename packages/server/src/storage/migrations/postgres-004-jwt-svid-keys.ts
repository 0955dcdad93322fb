/** Slots for keys that sign JWT-SVIDs. Programs of before do not know what such a slot is, and stop. */

export const postgresJwtSvidKeysSchema = `
ALTER TABLE key_slots DROP CONSTRAINT key_slots_purpose_check;
ALTER TABLE key_slots ADD CONSTRAINT key_slots_purpose_check CHECK (purpose IN ('anchor', 'token', 'jwt-svid'));
`
