/** Every key for trust state that an authority holds, beside the one that it uses: a delegation may name any of them. */

export const trustKeysSchema = `
ALTER TABLE authorities ADD COLUMN trust_keys TEXT;
`
