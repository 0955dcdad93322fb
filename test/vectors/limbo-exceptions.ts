/** Where our certification path differs from x509-limbo on purpose, case by case. */

/**
 * Faults against rules that the CA/Browser Forum makes for public servers and that neither RFC 5280 nor SPIFFE has: not
 * judged as paths. The whole verifier refuses these cases, as it does all of the set.
 */
export const notJudged: Readonly<Record<string, string>> = {
  ...sameReason(
    'a common name that is none of the names: BR 7.1.4.3; webpki::san::exact-localhost-ip-san must be accepted with one',
    [
      'webpki::cn::ipv4-hex-mismatch',
      'webpki::cn::ipv4-leading-zeros-mismatch',
      'webpki::cn::ipv6-uppercase-mismatch',
      'webpki::cn::ipv6-uncompressed-mismatch',
      'webpki::cn::ipv6-non-rfc5952-mismatch',
      'webpki::cn::punycode-not-in-san',
      'webpki::cn::utf8-vs-punycode-mismatch',
      'webpki::cn::not-in-san',
      'webpki::cn::case-mismatch',
    ],
  ),
  'webpki::eku::ee-critical-eku': 'critical purposes: BR 7.1.2.7.6; RFC 5280 §4.2.1.12 allows them',
  'webpki::san::san-critical-with-nonempty-subject':
    'critical names beside a subject: BR 7.1.2.7.12; RFC 5280 §4.2.1.6 advises against it and SPIFFE allows it',
}

/** Why a good path is refused, by the code that refuses it. A refusal by any other code is not explained. */
export const refusalReasons: Readonly<Record<string, string>> = {
  chain_issuer_unknown: 'no intermediate is followed: anchors sign leaves themselves',
  chain_anchor_profile: 'an anchor signs itself, and name constraints on it are not evaluated',
  svid_ca: 'a signing certificate never authenticates',
  svid_signature_algorithm: 'signatures are ecdsa-with-SHA256 alone',
  svid_key: 'keys are P-256 alone',
  purposes: 'a leaf lists its purposes',
  name_wildcard: 'a wildcard names nobody',
  name_kind: 'mail addresses name nobody',
  certificate_too_large: 'a certificate has at most 8 KiB',
}

/** The good paths of the usual set that are refused, by code. */
export const refusedSuccesses: Readonly<Record<string, readonly string[]>> = {
  chain_issuer_unknown: [
    'cve::cve-2024-0567',
    'pathlen::ee-with-intermediate-pathlen-0',
    'pathlen::ee-with-intermediate-pathlen-1',
    'pathlen::ee-with-intermediate-pathlen-2',
    'pathlen::intermediate-pathlen-may-increase',
    'pathlen::self-issued-certs-pathlen',
    'pathlen::max-chain-depth-1',
    'pathlen::max-chain-depth-1-self-issued',
    'rfc5280::nc::permitted-self-issued',
    'rfc5280::nc::nc-forbids-alternate-chain-ica',
    'rfc5280::nc::nc-forbids-same-chain-ica',
    'rfc5280::nc::nc-permits-email-exact',
    'rfc5280::nc::nc-permits-email-domain',
    'rfc5280::nc::nc-permits-email-literal-asterisk-exact-match',
    'rfc5280::nc::nc-permits-email-literal-double-asterisk',
    'rfc5280::nc::nc-permits-email-literal-mid-asterisk',
    'rfc5280::nc::nc-forbids-othername-noop',
    'rfc5280::validity::notbefore-exact',
    'rfc5280::validity::notafter-exact',
    'rfc5280::validity::notafter-fractional',
    'rfc5280::unknown-critical-extension-unrelated-intermediate',
    'webpki::nc::nc-permits-dns-san-pattern',
    'online::apple.com',
    'online::cloudflare.com',
  ],
  chain_anchor_profile: [
    'rfc5280::nc::permitted-dns-match',
    'rfc5280::nc::permitted-dns-match-more',
    'rfc5280::nc::permitted-ipv4-match',
    'rfc5280::nc::permitted-ipv6-match',
    'rfc5280::nc::permitted-dn-match',
    'rfc5280::nc::permitted-different-constraint-type',
    'rfc5280::nc::excluded-different-constraint-type',
    'webpki::nc::permitted-dns-match-noncritical',
    'rfc5280::root-and-intermediate-swapped',
  ],
  svid_ca: ['pathlen::validation-ignores-pathlen-in-leaf', 'rfc5280::ca-as-leaf'],
  purposes: ['rfc5280::eku::ee-without-eku'],
  name_wildcard: ['webpki::san::leftmost-wildcard-san'],
  svid_signature_algorithm: [
    'webpki::cryptographydotio-chain',
    'online::google.com',
    'online::aws.amazon.com',
    'online::fastly.com',
    'online::stackoverflow.com',
    'online::microsoft.com',
    'online::facebook.com',
    'online::amazon.com',
    'online::s3.amazonaws.com',
    'online::akamai.com',
    'online::storage.googleapis.com',
    'online::docs.python.org',
    'online::bing.com',
  ],
}

function sameReason(reason: string, ids: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(ids.map((id) => [id, reason]))
}
