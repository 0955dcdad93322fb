/** How a workload may prove who it is when it joins; a registration names the ways that suffice (reference ids BS-1 … BS-3). */

/** What a claim of a platform's token must be: exactly this text. */
export type RequiredClaims = Readonly<Record<string, string>>

export type AttestationRule =
  /** A single-use token in a join string. */
  | { readonly kind: 'join_token' }
  /** A machine key that is known beforehand: its RFC 7638 thumbprint. */
  | { readonly kind: 'bound_key'; readonly thumbprint: string }
  /** Possession of a certificate that chains to a configured set of anchors and bears this name. */
  | {
      readonly kind: 'x509_pop'
      /** Name of the set of anchors in configuration. */
      readonly anchors: string
      /** Which certificate: SHA-256 of its DER in lowercase hex, or one of its names. */
      readonly certificate:
        | { readonly fingerprint: string }
        | { readonly dns: string }
        | { readonly uri: string }
        | { readonly commonName: string }
    }
  /** A platform's token (Kubernetes projected service account, CI OIDC) with these claims. */
  | {
      readonly kind: 'oidc'
      /** Name of the issuer in configuration. */
      readonly issuer: string
      readonly claims: RequiredClaims
    }

export type AttestationKind = AttestationRule['kind']

export const attestationKinds: readonly AttestationKind[] = ['join_token', 'bound_key', 'x509_pop', 'oidc']
