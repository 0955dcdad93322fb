/** Opens everything durable of one authority, or founds it; a start that was interrupted continues where it stopped. */

import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DoorwardError, hex, jwkThumbprint, toBase64url, utf8 } from '@doorward/core'
import type { Clock, RandomBytes, Sha256, TrustDomain } from '@doorward/core'
import { fileCheckpointStore, openRecord } from '@doorward/enforcement'
import type { FileRecord, LogKey, Redaction } from '@doorward/enforcement'
import { aesGcmSealer, systemElapsed } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'
import { nowSeconds } from '../authority/context.ts'
import { Lease } from '../authority/lease.ts'
import type { AuthorityStore, Custody } from '../authority/ports.ts'
import { machineName } from '../config/machine.ts'
import { version } from '../config/version.ts'
import { KeyCustody } from '../secrets/key-custody.ts'
import { createRecoveryRoot, readRecoveryRoot } from '../secrets/recovery-root.ts'
import type { RecoveryRoot } from '../secrets/recovery-root.ts'
import { asP256 } from '../secrets/signing-key.ts'
import { openStateFolder } from '../secrets/state-folder.ts'
import type { StateFolder } from '../secrets/state-folder.ts'
import { openAuthorityStore } from '../storage/sqlite/authority-store.ts'
import type { PostgresOptions } from '../storage/postgres/options.ts'
import { openLogKey, openWitnessKey } from './log-key.ts'
import { recordPlaces } from './record-places.ts'
import { openRedaction } from './log-redaction.ts'
import { openLogWitness } from './log-witness.ts'
import type { LogWitness } from './log-witness.ts'
import { authorityOrigin } from './log-places.ts'

export interface StatePlaces {
  readonly trustDomain: TrustDomain
  /** Its name among the authorities of the trust domain; `main` by default. */
  readonly name?: string
  /** The database that several authorities share; a file in the state folder without it. */
  readonly database?: PostgresOptions
  /** The authority's own state folder. */
  readonly stateDir: string
  /** Folder of the key file, the recovery root and the second copy of checkpoints; outside every state folder. */
  readonly keyDir: string
  /** The key-encryption key; `authority.key` in `keyDir` by default. */
  readonly keyFile?: string
  /** Folder of the second copy of checkpoints; `keyDir` by default. */
  readonly checkpointDir?: string
  /** Folder of a second sink that is demanded; none by default. */
  readonly secondSink?: string
  /** Kept free for a full disk; 64 MiB by default. */
  readonly reserveBytes?: number
  /** Further folders in which no key may lie, such as the deployment's state folder. */
  readonly keyOutsideOf?: readonly string[]
}

export const defaultName = 'main'

export function defaultKeyFile({ keyDir }: Pick<StatePlaces, 'keyDir'>): string {
  return join(keyDir, 'authority.key')
}

export interface StateTools {
  readonly clock: Clock
  readonly random: RandomBytes
  readonly sha256: Sha256
  /** Told of what an operator should know; nobody by default. */
  readonly warn?: (code: string, text: string) => void
}

export interface AuthorityState {
  readonly folder: StateFolder
  readonly name: string
  readonly lease: Lease
  readonly store: AuthorityStore
  readonly custody: Custody
  /** What is kept beside the keys is sealed by the same key-encryption key. */
  readonly sealer: Sealer
  /** Those that sign nothing of ours, such as that of an account elsewhere. */
  readonly keys: Pick<KeyCustody, 'open' | 'create'>
  readonly record: FileRecord
  readonly recordFolder: string
  readonly redaction: Redaction
  readonly logKey: LogKey
  readonly witness: LogWitness
  /** Null when the root has left this machine, as it should. */
  readonly root: RecoveryRoot | null
  readonly rootFile: string
  readonly rootFingerprint: string
  /** This start has founded the trust domain, and its root with it. */
  readonly founds: boolean
}

/** Opens or founds the state; what was opened is given to `stack`. Throws the codes of state folder, key file, custody, store and record. */
export async function openAuthorityState(
  places: StatePlaces,
  tools: StateTools,
  stack: AsyncDisposableStack,
): Promise<AuthorityState> {
  const { stateDir, trustDomain } = places
  const folder = await openStateFolder({
    folder: stateDir,
    kind: 'authority',
    trustDomain,
    keyFile: places.keyFile ?? defaultKeyFile(places),
    keyOutsideOf: places.keyOutsideOf ?? [],
    random: tools.random,
  })
  stack.defer(() => folder.release())
  const sealer = aesGcmSealer(folder.key, tools.random)
  const keys = new KeyCustody(join(stateDir, 'keys'), sealer)
  const store = await openStore(places, folder)
  stack.defer(() => store.close())
  const lease = await takeLease({ places, tools, store, folder })
  stack.defer(() => lease.release().catch(() => undefined))
  const founded = await openDomain({ places, tools, store, folder })
  const logKey = await openLogKey(keys, folder.founded)
  const { record, recordFolder } = await openLog(places, tools, { signKey: logKey, mayBegin: !folder.founded })
  stack.defer(() => record.close())
  const redaction = await openRedaction(record, recordFolder)
  const { keyDir, checkpointDir: dir = keyDir } = places
  const witness = await openLogWitness({
    dir,
    origin: record.stats().origin,
    logKey,
    witnessKey: await openWitnessKey(keys),
    recordFolder,
    clock: tools.clock,
  })
  return {
    folder,
    name: places.name ?? defaultName,
    lease,
    store,
    custody: p256Custody(keys),
    sealer,
    keys,
    record,
    recordFolder,
    redaction,
    logKey,
    witness,
    ...founded,
  }
}

interface Founding {
  readonly places: StatePlaces
  readonly tools: StateTools
  readonly store: AuthorityStore
  readonly folder: StateFolder
}

/** With a database, the PostgreSQL client is loaded; not without. */
async function openStore(
  { database, stateDir }: StatePlaces,
  { founded }: StateFolder,
): Promise<AuthorityStore & { close(): void | Promise<void> }> {
  if (database === undefined) return openAuthorityStore(join(stateDir, 'authority.db'), { create: !founded })
  const { openPostgresAuthorityStore } = await import('../storage/postgres/authority-store.ts')
  return openPostgresAuthorityStore(database, { create: !founded })
}

function takeLease({ places, tools, store, folder }: Founding): Promise<Lease> {
  const { clock, random, sha256 } = tools
  return Lease.take(
    { leases: store.leases, clock, monotonic: systemElapsed },
    {
      instance: folder.stateId,
      name: places.name ?? defaultName,
      home: toBase64url(sha256(utf8(`${machineName()}\n${resolve(places.stateDir)}`))),
      holder: hex(random(8)),
      program: version,
    },
  )
}

type OpenedDomain = Pick<AuthorityState, 'root' | 'rootFile' | 'rootFingerprint' | 'founds'>

/** Root first, then the domain that pins it; a crash in between leaves a root that the next start takes up. */
async function openDomain({ places, tools, store, folder }: Founding): Promise<OpenedDomain> {
  const { keyDir, trustDomain } = places
  const rootFile = join(keyDir, 'recovery-root.pem')
  const root = await readRecoveryRoot(rootFile, tools.sha256)
  const held = await store.domain.read()
  if (held === null && folder.founded) throw damaged(places, 'the store does not know its trust domain')
  if (held === null) return foundDomain({ places, tools, store, folder }, root, rootFile)
  if (held.trustDomain !== trustDomain) throw damaged(places, `the store is of ${held.trustDomain}`)
  return { root, rootFile, rootFingerprint: jwkThumbprint(held.root, tools.sha256), founds: false }
}

async function foundDomain(founding: Founding, kept: RecoveryRoot | null, rootFile: string): Promise<OpenedDomain> {
  const { places, tools, store } = founding
  const root = kept ?? (await createRecoveryRoot(rootFile, tools.sha256))
  const { trustDomain } = places
  const foundedAt = nowSeconds(tools)
  if (await store.domain.found({ trustDomain, root: root.key.jwk, epoch: 1, foundedAt }))
    return { root, rootFile, rootFingerprint: root.fingerprint, founds: true }
  // Another authority has founded the domain in the same moment: a root that nobody pins is of no use.
  if (kept === null) await rm(rootFile, { force: true })
  return openDomain(founding)
}

async function openLog(
  { stateDir, keyDir, checkpointDir = keyDir, trustDomain, name = defaultName, ...places }: StatePlaces,
  tools: StateTools,
  own: { readonly signKey: LogKey; readonly mayBegin: boolean },
): Promise<Pick<AuthorityState, 'record' | 'recordFolder'>> {
  const origin = authorityOrigin(trustDomain, name)
  const dir = join(stateDir, 'record')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const checkpointStore = fileCheckpointStore(checkpointDir, origin)
  const monotonic = () => performance.now()
  const more = { ...recordPlaces(places), dir, origin, checkpointStore, monotonic }
  const record = await openRecord({ ...tools, ...own, ...more })
  return { record, recordFolder: dir }
}

/** Every key of the authority but the log's is P-256. */
function p256Custody(keys: KeyCustody): Custody {
  return {
    create: async (name) => asP256(await keys.create(name, 'p256')),
    need: async (name) => asP256(await keys.need(name, 'p256')),
    destroy: (name) => keys.destroy(name),
    names: () => keys.names(),
  }
}

function damaged({ stateDir }: StatePlaces, got: string): DoorwardError {
  return new DoorwardError('state_damaged', 'the state folder does not fit together', {
    where: stateDir,
    got,
    next: 'put the folder back as it was; nothing has been changed',
  })
}
