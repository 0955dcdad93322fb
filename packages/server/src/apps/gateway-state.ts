/** Opens everything durable of one gateway: state folder, identity and record. A start that was interrupted continues where it stopped. */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, isDoorwardError, toSeconds } from '@doorward/core'
import type { Clock, KeepRules } from '@doorward/core'
import { KeptContent, WitnessedRecord, fileCheckpointStore, openRecord } from '@doorward/enforcement'
import type { FileRecord, LogKey, Redaction } from '@doorward/enforcement'
import { aesGcmSealer, join as joinAuthority, openIdentity, randomBytes, sha256, systemRuntime } from '@doorward/sdk'
import type { Identity, Sealer } from '@doorward/sdk'
import { KeyCustody } from '../secrets/key-custody.ts'
import { openSealedSecret } from '../secrets/sealed-secret.ts'
import { GrantStore } from '../secrets/grant-store.ts'
import { SecretStore } from '../secrets/secret-store.ts'
import { openStateFolder } from '../secrets/state-folder.ts'
import type { StateFolder } from '../secrets/state-folder.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import { openLogKey, openWitnessKey } from './log-key.ts'
import { recordPlaces } from './record-places.ts'
import { openRedaction } from './log-redaction.ts'
import { openLogWitness } from './log-witness.ts'
import type { LogWitness } from './log-witness.ts'

export interface GatewayState {
  readonly folder: StateFolder
  readonly identity: Identity
  readonly record: FileRecord
  readonly recordFolder: string
  readonly redaction: Redaction
  readonly logKey: LogKey
  /** Of secrets and keys in the state folder. */
  readonly sealer: Sealer
  readonly keys: KeyCustody
  readonly witness: LogWitness
  /** What goes into entries of arguments and results; null where no rule keeps anything. */
  readonly keptUnder: (keep: KeepRules | null) => Promise<KeptContent | null>
  /** Of the proofs by which request states and task ids are their callers' own. */
  readonly handleKey: Uint8Array
  /** Secrets that operators have put. */
  readonly secretStore: SecretStore
  /** What people have granted towards servers. */
  readonly grantStore: GrantStore
  /** The record, as far as something is permitted by it. */
  readonly witnessed: WitnessedRecord
}

export interface GatewayStateTools {
  readonly clock: Clock
  /** Asked once, and only when the gateway has no identity yet. */
  readonly joinString: () => Promise<string>
  readonly onProblem: (error: unknown) => void
  /** Told of what an operator should know. */
  readonly warn: (code: string, text: string) => void
}

/** What was opened is given to `stack`. Throws the codes of state folder, key file, custody, record, join and identity. */
export async function openGatewayState(
  settings: GatewaySettings,
  tools: GatewayStateTools,
  stack: AsyncDisposableStack,
): Promise<GatewayState> {
  const { stateDir, keyDir, name, trustDomain } = settings
  const folder = await openStateFolder({
    folder: stateDir,
    kind: 'gateway',
    trustDomain,
    keyFile: settings.keyFile ?? join(keyDir, `gateway-${name}.key`),
    keyOutsideOf: settings.keyOutsideOf ?? [],
    random: randomBytes,
  })
  stack.defer(() => folder.release())
  const sealer = aesGcmSealer(folder.key, randomBytes)
  const keys = new KeyCustody(join(stateDir, 'keys'), sealer)
  const logKey = await openLogKey(keys, folder.founded)
  const { record, recordFolder } = await openLog(settings, tools, { signKey: logKey, mayBegin: !folder.founded })
  stack.defer(() => record.close())
  const redaction = await openRedaction(record, recordFolder)
  const identity = await openOwnIdentity(settings, tools, sealer)
  stack.defer(() => identity.close())
  await folder.complete()
  const witness = await openLogWitness({
    dir: settings.checkpointDir ?? keyDir,
    origin: record.stats().origin,
    logKey,
    witnessKey: await openWitnessKey(keys),
    recordFolder,
    clock: tools.clock,
  })
  const keptUnder = (keep: KeepRules | null) => openKept(stateDir, keep, sealer)
  const handleKey = await openSealedSecret({
    path: join(stateDir, 'keys', 'handles.secret'),
    sealer,
    random: randomBytes,
    purpose: 'gateway/handles',
  })
  const secretStore = await openSecrets(stateDir, tools, sealer)
  const grantStore = await openGrants(stateDir, tools, sealer)
  const witnessed = new WitnessedRecord(record)
  const opened = { folder, identity, record, recordFolder, redaction, logKey, sealer, keys, witness, keptUnder }
  return { ...opened, handleKey, secretStore, grantStore, witnessed }
}

function openSecrets(stateDir: string, { clock, warn }: GatewayStateTools, sealer: Sealer): Promise<SecretStore> {
  return SecretStore.open({
    folder: join(stateDir, 'secrets'),
    sealer,
    now: () => toSeconds(clock()),
    onBroken: (name) => warn('secret_broken', `the secret ${name} does not open: it is refused until it is put anew`),
  })
}

function openGrants(stateDir: string, { warn }: GatewayStateTools, sealer: Sealer): Promise<GrantStore> {
  return GrantStore.open({
    folder: join(stateDir, 'grants'),
    sealer,
    onBroken: (file) => warn('grant_broken', `the grant ${file} does not open: its person is asked again`),
  })
}

/** The key of the HMACs is made with the first rule, and lies beside the log's. */
async function openKept(stateDir: string, keep: KeepRules | null, sealer: Sealer): Promise<KeptContent | null> {
  if (keep === null) return null
  const path = join(stateDir, 'keys', 'kept-hmac.secret')
  const purpose = 'record/kept-hmac'
  return new KeptContent(keep, await openSealedSecret({ path, sealer, random: randomBytes, purpose }))
}

async function openLog(
  { stateDir, keyDir, checkpointDir = keyDir, trustDomain, name, ...places }: GatewaySettings,
  { clock, warn }: GatewayStateTools,
  own: { readonly signKey: LogKey; readonly mayBegin: boolean },
) {
  const origin = `${trustDomain}/gateway/${name}`
  const recordFolder = join(stateDir, 'record')
  await mkdir(recordFolder, { recursive: true, mode: 0o700 })
  const checkpointStore = fileCheckpointStore(checkpointDir, origin)
  const record = await openRecord({
    ...own,
    ...recordPlaces(places),
    dir: recordFolder,
    origin,
    warn,
    sha256,
    random: randomBytes,
    clock,
    checkpointStore,
    monotonic: () => performance.now(),
  })
  return { record, recordFolder }
}

/** The identity in the state folder, joined with a join string where there is none. Throws `gateway_identity` for another workload's. */
async function openOwnIdentity(settings: GatewaySettings, tools: GatewayStateTools, sealer: Sealer): Promise<Identity> {
  const runtime = { ...systemRuntime, wall: tools.clock }
  const options = { folder: join(settings.stateDir, 'identity'), sealer, runtime, onProblem: tools.onProblem }
  const identity = await openIdentity(options).catch(async (error: unknown) => {
    if (!isDoorwardError(error, 'identity_missing')) throw error
    await joinAuthority({
      ...options,
      clock: tools.clock,
      scope: 'full',
      joinString: await tools.joinString(),
      authorityUrl: settings.issuer,
    })
    return openIdentity(options)
  })
  const expected = `spiffe://${settings.trustDomain}/doorward/gateway/${settings.name}`
  if (identity.id.uri === expected) return identity
  identity.close()
  throw new DoorwardError('gateway_identity', 'the state folder holds the identity of another workload', {
    where: options.folder,
    expected,
    got: identity.id.uri,
    next: 'name another state folder, or join with a join string for this gateway',
  })
}

/** The join string of a gateway that nobody invites. */
export function nobodyToAsk(): Promise<string> {
  return Promise.reject(
    new DoorwardError('join_string_missing', 'the gateway has no identity yet and no join string', {
      next: 'make one with `doorward gateway add`, and start the gateway with it',
    }),
  )
}
