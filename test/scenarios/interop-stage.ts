/**
 * A running authority seen from outside: certificates that it issued, and lists that its anchor signed, as files for
 * programs that are not ours. Beside the valid one stand one that expired, one of a foreign authority with the same
 * names, and one that is on a list.
 */

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { anchorName, buildCrl, crlPem, epochSeconds, parseSpiffeId, parseTrustDomain } from '@doorward/core'
import type { RevokedSerial } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { joinLocally, openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import type { ClientPlace } from '../../packages/server/src/apps/local-identities.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { newAnchor, newLeaf, now, pemOf } from '../fixtures/trust-fixture.ts'
import type { TestAnchor } from '../fixtures/trust-fixture.ts'

/** What a verifier that is not ours is shown. All but the first it must refuse. */
export const parties = ['valid', 'expired', 'foreign', 'revoked'] as const
export type Party = (typeof parties)[number]

/** What a program presents, in memory. */
export interface Presented {
  readonly serial: string
  /** PEM. */
  readonly cert: string
  readonly key: string
}

const yaml = `servers:
  files: { url: "http://127.0.0.1:9", insecure_upstream: true, effects: { read: [read_*] } }
roles: { reader: ["read:files/*"] }
bindings: []
${wideLimits}`

export class InteropStage {
  readonly system: TestDeployment
  /**
   * Holds `anchors.pem`; `<party>.crt`, `.key` and both in `.pem`; and two lists of the anchor: `revoked.crl`, and
   * `empty.crl` with nothing on it.
   */
  readonly folder: string
  /** What the machine trusts lies here. */
  readonly machine: string
  /** PEM of the anchors. */
  readonly anchors: string
  readonly parties: Readonly<Record<Party, Presented>>

  private constructor(parts: Pick<InteropStage, 'system' | 'folder' | 'machine' | 'anchors' | 'parties'>) {
    this.system = parts.system
    this.folder = parts.folder
    this.machine = parts.machine
    this.anchors = parts.anchors
    this.parties = parts.parties
  }

  /** Every process of the deployment runs on a machine that trusts the foreign authority. */
  static async open(): Promise<InteropStage> {
    const stranger = await newAnchor(parseTrustDomain('test.example'))
    const machine = await mkdtemp(join(tmpdir(), 'doorward-machine-'))
    await chmod(machine, 0o755)
    const file = join(machine, 'authorities.pem')
    await writeFile(file, pemOf(stranger.der), { mode: 0o644 })
    const env = { NODE_EXTRA_CA_CERTS: file, SSL_CERT_FILE: file, NODE_OPTIONS: '--use-openssl-ca' }
    const system = await TestDeployment.start({ yaml, env })
    try {
      const folder = join(system.folder, 'outside')
      await mkdir(folder, { mode: 0o700 })
      const place = { deployment: await system.deployment(), environment: readEnvironment({ ...system.env }) }
      const issued = await issuedTo(place, ['service/valid', 'service/revoked'])
      const keys = await stealKeys(system)
      const all = { ...issued.parties, ...(await minted(keys, stranger)) }
      for (const party of parties) await writeParty(join(folder, party), all[party])
      await writeFile(join(folder, 'anchors.pem'), issued.anchors)
      await writeFile(join(folder, 'empty.crl'), await listing(keys, []))
      await writeFile(join(folder, 'revoked.crl'), await listing(keys, [all.revoked.serial]))
      return new InteropStage({ system, folder, machine, anchors: issued.anchors, parties: all })
    } catch (error) {
      await system.remove()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.system.remove()
    await rm(this.machine, { recursive: true, force: true })
  }
}

/** How the peer ended the connection: the name of its alert, and null where it sent none. Waits for the end. */
export async function alertOf(socket: TLSSocket): Promise<string | null> {
  let failure: string | null = null
  socket.on(
    'error',
    (error: NodeJS.ErrnoException) => (failure = error.code?.replace(/^.*_ALERT_/, '') ?? error.message),
  )
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return failure
}

/** Names that a client which dials by name looks for. */
const names = { dnsNames: ['valid.localhost'], ipAddresses: ['127.0.0.1'] }

/** Registers and joins the workloads, and takes what they hold then. */
async function issuedTo(
  place: ClientPlace,
  [valid, revoked]: readonly [string, string],
): Promise<{ readonly anchors: string; readonly parties: Pick<InteropStage['parties'], 'valid' | 'revoked'> }> {
  const { authority, trustDomain } = place.deployment
  const operator = await openLocalIdentity(place)
  const held: Identity[] = [operator]
  try {
    await operator.prepare()
    const admin = new AdminClient(operator, {
      url: authority.adminUrl,
      audience: authority.publicUrl,
      expectedId: authority.id,
    })
    const join = async (path: string): Promise<Presented> => {
      const id = `spiffe://${trustDomain}/${path}`
      // A DNS name belongs to one identity.
      const dnsNames = path === valid ? names.dnsNames : ['revoked.localhost']
      await admin.addWorkload(id, [], { dns_names: dnsNames, ip_addresses: names.ipAddresses })
      await joinLocally(place, (await admin.invite(id)).joinString)
      const identity = await openLocalIdentity(place, path)
      held.push(identity)
      await identity.prepare()
      const { chain, privateKey, certificate } = identity.credentials.current()
      const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
      return { serial: certificate.serial, cert: chain.map(pemOf).join(''), key }
    }
    return {
      parties: { valid: await join(valid), revoked: await join(revoked) },
      anchors: operator.material().anchors.map(pemOf).join(''),
    }
  } finally {
    for (const identity of held) identity.close()
  }
}

/** By the real anchor, but of yesterday; and by the anchor of somebody else. */
async function minted(
  { anchor, trustDomain }: StolenKeys,
  stranger: TestAnchor,
): Promise<Pick<InteropStage['parties'], 'expired' | 'foreign'>> {
  const id = parseSpiffeId(`spiffe://${trustDomain}/service/valid`)
  const own = { keyId: anchor.keyId, keyPair: { signKey: anchor.key } }
  const expired = await newLeaf(own, id, { ...names, startsIn: -7200, secondsLeft: -3600 })
  const foreign = await newLeaf(stranger, id, names)
  return {
    expired: { ...expired.pem, serial: expired.certificate.serial },
    foreign: { ...foreign.pem, serial: foreign.certificate.serial },
  }
}

async function writeParty(path: string, { cert, key }: Presented): Promise<void> {
  await writeFile(`${path}.crt`, cert)
  await writeFile(`${path}.key`, key, { mode: 0o600 })
  await writeFile(`${path}.pem`, `${cert}${key}`, { mode: 0o600 })
}

async function listing({ anchor, trustDomain }: StolenKeys, serials: readonly string[]): Promise<string> {
  const revokedAt = epochSeconds(now() - 1)
  const revoked = serials.map((serial): RevokedSerial => ({ serial, revokedAt, reason: 'key_compromise' }))
  const list = {
    issuer: { name: anchorName(trustDomain, anchor.keyId), keyId: anchor.keyId },
    number: BigInt(now()),
    thisUpdate: epochSeconds(now() - 60),
    nextUpdate: epochSeconds(now() + 3600),
    revoked,
  }
  return crlPem(await buildCrl(list, anchor.key))
}
