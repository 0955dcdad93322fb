/** Every key for trust state that an authority holds, beside the one that it uses. Programs of before say nothing of it. */

export const postgresTrustKeysSchema = `
ALTER TABLE authorities ADD COLUMN trust_keys words;
`
