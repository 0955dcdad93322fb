/** How we speak to whoever is outside of the trust domain and shows no identity of ours: receivers of exports, other people's servers. */

/**
 * For node:tls. TLS 1.2 is the oldest version, and only with keys of one connection (ADR-0011, forward secrecy): suites whose key
 * exchange is that of the certificate, and block ciphers, are offered to nobody.
 */
export const outwardTls = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'TLS_AES_128_GCM_SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
  ].join(':'),
} as const
