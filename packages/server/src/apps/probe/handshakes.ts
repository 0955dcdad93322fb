/** Attempts at the handshake: who shows nothing, something forged, or something that has ended, and who speaks older. */

import { anchorName, buildCertificate, epochSeconds, newSerial, svidTemplate, toSeconds } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { generateP256, signKeyOf, systemClock } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { randomBytes } from 'node:crypto'
import { ProbeConnection } from '../probe-connection.ts'
import { judged, notRun, refusedBy } from './attempt.ts'
import type { Attempt } from './attempt.ts'
import { requestOf } from './request.ts'
import type { Scene } from './scene.ts'
import type { WireMaterial, WireOptions } from './wire.ts'

/** Some are refused before anything of HTTP is read, which no alert of TLS 1.3 has to tell. */
const untrusted = [
  'closed',
  'certificate_untrusted',
  'certificate_not_issued',
  'certificate_profile',
  'alert_unknown_ca',
  'alert_bad_certificate',
  'alert_decrypt_error',
  'alert_certificate_unknown',
]
const spoken = ['alert_protocol_version', 'alert_handshake_failure', 'closed']

export async function handshakeAttempts(scene: Scene): Promise<readonly Attempt[]> {
  const { removed } = scene
  const token = await scene.caller.token()
  const shown = (id: string, title: string, material: WireMaterial | null, codes: readonly string[]): Attempt => ({
    id: `handshake-${id}`,
    kind: 'handshake',
    title,
    requirement: 'OS25-D5',
    run: async () => {
      const text = material === removed.material() ? removed.tokenOfBefore : token
      return refusedBy(await scene.send(material, requestOf(scene, text)), codes)
    },
  })
  return [
    shown('no-certificate', 'no certificate', null, ['alert_certificate_required', 'closed']),
    shown(
      'foreign',
      'a certificate by an authority of one’s own, with the name of a workload',
      await forgedSvid(scene, false),
      untrusted,
    ),
    shown('forged', 'the same, naming the real authority as its issuer', await forgedSvid(scene, true), untrusted),
    shown('expired', 'a forged one that has ended as well', await forgedSvid(scene, true, -7200), [
      ...untrusted,
      'certificate_expired',
      'alert_certificate_expired',
    ]),
    shown('chain', 'a certificate signed by that of a workload', await leafSigned(scene), untrusted),
    shown('removed', 'the certificate of a workload that was removed', removed.material(), ['identity_denied']),
    ...oldProtocols(scene),
    resumption(scene, token),
  ]
}

function oldProtocols(scene: Scene): readonly Attempt[] {
  const rows: readonly (readonly [id: string, title: string, options: WireOptions, requirement: string])[] = [
    ['tls-1.2', 'TLS 1.2', { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }, 'ADR11-CFG-tls.min_version'],
    [
      'tls-1.1',
      'TLS 1.1',
      { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
      'ADR11-CFG-tls.min_version',
    ],
    ['suite', 'a suite that is not listed', { ciphers: 'TLS_AES_128_GCM_SHA256' }, 'ADR11-CFG-tls.cipher_suites[0]'],
    ['group-p521', 'key agreement on P-521', { ecdhCurve: 'P-521' }, 'ADR11-DEC-4'],
    ['group-x448', 'key agreement by X448', { ecdhCurve: 'X448' }, 'ADR11-DEC-4'],
    ['group-ffdhe', 'key agreement over a finite field', { ecdhCurve: 'ffdhe2048' }, 'ADR11-DEC-4'],
  ]
  return rows.map(([id, title, options, requirement]) => ({
    id: `handshake-${id}`,
    kind: 'handshake',
    title,
    requirement,
    run: async () => {
      const bytes = requestOf(scene, await scene.caller.token())
      return refusedBy(await scene.send(scene.caller.material(), bytes, options), spoken)
    },
  }))
}

/** A session that is resumed would carry trust over a revocation, and over the end of a certificate. */
function resumption(scene: Scene, token: string): Attempt {
  return {
    id: 'handshake-resumption',
    kind: 'handshake',
    title: 'a session that is resumed',
    requirement: 'OS25-D5',
    run: async () => {
      const expected = 'a full handshake, or none'
      const material = scene.caller.material()
      const first = await ProbeConnection.open(scene.place, material)
      if (!(first instanceof ProbeConnection)) return judged(false, 'a connection', first.code)
      const told = await first.ask({ method: 'GET', path: '/none', host: scene.host, token })
      const { tickets } = first
      first.close()
      // Who does not even answer hands out no tickets either: that shows nothing.
      if (told.kind !== 'answered') return notRun(expected, told.code)
      for (const ticket of tickets) {
        const second = await ProbeConnection.open(scene.place, material, ticket)
        if (!(second instanceof ProbeConnection)) continue
        const { resumed } = second
        second.close()
        if (resumed) return judged(false, expected, 'resumed')
      }
      return judged(true, expected, `none of ${tickets.length} resumed`)
    },
  }
}

/** An SVID for the caller's own name by a key that nobody trusts; `named`: by the name and key id of the real issuer. */
async function forgedSvid(scene: Scene, named: boolean, endsIn = 3000): Promise<WireMaterial> {
  const leaf = scene.caller.identity.credentials.current().certificate
  const [key, issuerKey] = [await generateP256(), await generateP256()]
  const keyId = named ? (leaf.authorityKeyId ?? '00'.repeat(20)) : Buffer.from(randomBytes(20)).toString('hex')
  return { chain: [await signedBy(scene, { key, issuerKey, keyId, endsIn })], privateKey: key.privateKey }
}

/** The caller's own key as an issuer: a leaf is no authority. */
async function leafSigned(scene: Scene): Promise<WireMaterial> {
  const { chain, privateKey, certificate } = scene.caller.identity.credentials.current()
  const key = await generateP256()
  const issuerKey = { signKey: signKeyOf(privateKey) }
  const forged = await signedBy(scene, { key, issuerKey, keyId: keyIdOf(certificate), endsIn: 3000 })
  return { chain: [forged, ...chain], privateKey: key.privateKey }
}

function keyIdOf(certificate: PeerCertificate): string {
  return certificate.authorityKeyId ?? '00'.repeat(20)
}

interface Forging {
  readonly key: P256KeyPair
  readonly issuerKey: Pick<P256KeyPair, 'signKey'>
  readonly keyId: string
  readonly endsIn: number
}

async function signedBy(scene: Scene, { key, issuerKey, keyId, endsIn }: Forging): Promise<Uint8Array> {
  const now = toSeconds(systemClock())
  const { id, trustDomain } = scene.caller.identity
  const template = svidTemplate({
    publicKey: key.spki,
    serial: newSerial((length) => new Uint8Array(randomBytes(length))),
    notBefore: epochSeconds(now + endsIn - 3600),
    notAfter: epochSeconds(now + endsIn),
    issuer: { name: anchorName(trustDomain, keyId), keyId },
    spiffeId: id,
  })
  return buildCertificate(template, issuerKey.signKey)
}
