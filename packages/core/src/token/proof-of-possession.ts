/** Binding of a token to the certificate of its presenter (RFC 8705 §3.1). */

/** True when `cnf` names exactly this certificate. Both are public values: no constant time needed. */
export function boundToCertificate(cnf: { readonly 'x5t#S256': string }, certificateFingerprint: string): boolean {
  return certificateFingerprint !== '' && cnf['x5t#S256'] === certificateFingerprint
}
