/**
 * `doorward authority delegate`: the recovery root names the keys that may sign trust state. The root signs here, or where it
 * is: `--export` and `--import` need the network, `--sign` needs none.
 */

import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { DoorwardError, isJsonObject, readSignedDelegation, scanJson, utf8 } from '@doorward/core'
import type { Delegation, JsonObject, JsonValue, SignedDelegation } from '@doorward/core'
import { readStatement, statementDocument } from '@doorward/sdk'
import type { DelegationView } from '@doorward/sdk'
import { confirmed } from '../confirmation.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'
import { openRoot } from './recover.ts'
import { operating } from './standing.ts'

interface DelegateOptions {
  readonly as?: string
  readonly root?: string
  readonly export?: string
  readonly sign?: string
  readonly import?: string
  readonly out?: string
  readonly yes: boolean
}

const MAX_FILE = 64 * 1024

export function registerDelegate(authority: Command, context: CliContext): void {
  authority
    .command('delegate')
    .description('have the recovery root name the keys that may sign trust state, those of a new authority with them')
    .option('--root <file>', 'the recovery root; the one beside the keys of this deployment by default')
    .option('--export <file>', 'write what is to be signed to this new file, and sign nothing')
    .option('--sign <file>', 'sign what was exported, without the network; the result goes to --out')
    .option('--out <file>', 'where --sign writes to; standard output by default')
    .option('--import <file>', 'hand in what was signed elsewhere')
    .option('--yes', 'do not ask', false)
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward authority delegate\n  doorward authority delegate --export wanted.json\n  doorward authority delegate --sign wanted.json --root root.pem --out signed.json\n  doorward authority delegate --import signed.json',
    )
    .action((options: DelegateOptions) => run(context, options))
}

function run(context: CliContext, options: DelegateOptions): Promise<void> {
  const ways = [options.export, options.sign, options.import].filter((way) => way !== undefined)
  if (ways.length > 1 || (options.out !== undefined && options.sign === undefined))
    throw new DoorwardError('usage', 'these options do not go together', {
      expected: 'one of --export, --sign and --import; --out beside --sign',
    })
  if (options.sign !== undefined) return signHere(context, options.sign, options)
  if (options.export !== undefined) return exportWanted(context, options.export, options)
  return options.import === undefined ? delegate(context, options) : importSigned(context, options.import, options)
}

async function delegate(context: CliContext, options: DelegateOptions): Promise<void> {
  const signer = await openRoot(context, options.root)
  const { checkPinned, signedBy, thumbprintsOf } = await import('../../apps/root-signer.ts')
  await operating(context, options.as, async ({ identity, admin }) => {
    checkPinned(signer, identity)
    const wanted = await admin.wantedDelegation()
    showWanted(context, wanted, thumbprintsOf(wanted.statement))
    await confirm(context, options)
    const signed = await signedBy(signer, wanted.statement, identity)
    await admin.delegate(signed)
    tellDone(context, wanted.statement)
  })
}

async function exportWanted(context: CliContext, file: string, { as }: DelegateOptions): Promise<void> {
  const { thumbprintsOf } = await import('../../apps/root-signer.ts')
  await operating(context, as, async ({ identity, admin }) => {
    const wanted = await admin.wantedDelegation()
    const thumbprints = thumbprintsOf(wanted.statement)
    showWanted(context, wanted, thumbprints)
    await write(file, {
      delegation: statementDocument(wanted.statement),
      root: identity.rootFingerprint,
      authorities: wanted.authorities.map(({ name }, index) => ({ name, thumbprint: thumbprints[index] ?? '' })),
    })
    if (context.json) context.out(JSON.stringify({ event: 'exported', file, version: wanted.statement.version }))
    else context.out(`${painter(context.color)('green', '✓')} to be signed: ${file}`)
  })
}

/** Needs no deployment: the root may lie where nothing else of it is. */
async function signHere(context: CliContext, file: string, options: DelegateOptions): Promise<void> {
  if (options.root === undefined)
    throw new DoorwardError('usage', '--sign needs the recovery root', { next: 'name its file with --root' })
  const { fileRootSigner, signedBy, thumbprintsOf } = await import('../../apps/root-signer.ts')
  const document = await read(file)
  const statement = statementIn(document, file)
  const { root } = document
  const signer = await fileRootSigner(options.root)
  showKeys(context, statement, named(thumbprintsOf(statement), document['authorities']))
  await confirm(context, options)
  const rootFingerprint = typeof root === 'string' ? root : signer.fingerprint
  const signed = await signedBy(signer, statement, { trustDomain: statement.trustDomain, rootFingerprint })
  const result = { signed_delegation: signedDocument(signed) }
  if (options.out === undefined) return context.out(JSON.stringify(result))
  await write(options.out, result)
  if (context.json) context.out(JSON.stringify({ event: 'signed', file: options.out, version: statement.version }))
  else context.out(`${painter(context.color)('green', '✓')} signed: ${options.out}`)
}

async function importSigned(context: CliContext, file: string, { as }: DelegateOptions): Promise<void> {
  const signed = readSignedDelegation((await read(file))['signed_delegation'])
  if (signed === null) throw unreadable(file, 'a signed delegation')
  await operating(context, as, async ({ admin }) => {
    await admin.delegate(signed)
    const { version } = JSON.parse(Buffer.from(signed.payload, 'base64url').toString('utf8')) as { version: number }
    if (context.json) context.out(JSON.stringify({ event: 'delegated', version }))
    else context.out(`${painter(context.color)('green', '✓')} delegation ${version} is in force`)
  })
}

/** Each authority with the thumbprint of its key: what is new is compared with what that authority says of itself. */
function showWanted(
  context: CliContext,
  { authorities, ceremony, statement, root }: DelegationView,
  thumbprints: readonly string[],
): void {
  if (context.json) {
    context.out(
      JSON.stringify({ event: 'wanted', root, ceremony, authorities, statement: statementDocument(statement) }),
    )
    return
  }
  const paint = painter(context.color)
  if (ceremony !== null) context.err(paint('yellow', `for the recovery ${ceremony.id}: ${printable(ceremony.reason)}`))
  const rows = thumbprints.map((thumbprint, index) => {
    const { name = '?', live = false, isNew = true } = authorities[index] ?? {}
    const runs = live ? 'runs' : paint('dim', 'does not run')
    return [printable(name), runs, thumbprint, isNew ? paint('yellow', 'new') : '']
  })
  context.err(table(['AUTHORITY', '', 'KEY', ''], rows, context.color))
}

function showKeys(context: CliContext, statement: Delegation, rows: readonly (readonly string[])[]): void {
  if (context.json) return
  const { version, expiresAt, trustDomain } = statement
  const until = new Date(expiresAt * 1000).toISOString()
  context.err(`delegation ${version} of ${printable(trustDomain)}, until ${until}`)
  context.err(table(['AUTHORITY', 'KEY'], rows, context.color))
}

/** The names are what the file says of the keys; the thumbprints are what they are. */
function named(thumbprints: readonly string[], value: JsonValue | undefined): readonly (readonly string[])[] {
  const said = Array.isArray(value) ? (value as readonly JsonValue[]).filter(isJsonObject) : []
  return thumbprints.map((thumbprint) => {
    const name = said.find((one) => one['thumbprint'] === thumbprint)?.['name']
    return [typeof name === 'string' ? printable(name) : '?', thumbprint]
  })
}

async function confirm(context: CliContext, { yes }: DelegateOptions): Promise<void> {
  if (yes) return
  const question = 'Sign this with the recovery root?'
  if (await confirmed(context, question, 'look at it with --export FILE, then sign it with --yes')) return
  throw new CheckFailed('not_confirmed', 'nothing was signed')
}

function tellDone(context: CliContext, { version, expiresAt, keys }: Delegation): void {
  if (context.json)
    return context.out(JSON.stringify({ event: 'delegated', version, keys: keys.length, expires_at: expiresAt }))
  const until = new Date(expiresAt * 1000).toISOString()
  context.out(`${painter(context.color)('green', '✓')} delegation ${version} for ${keys.length} keys, until ${until}`)
}

function statementIn(document: JsonObject, file: string): Delegation {
  const statement = document['delegation']
  try {
    if (isJsonObject(statement)) return readStatement(statement)
  } catch {
    // Told below.
  }
  throw unreadable(file, 'what `doorward authority delegate --export` has written')
}

function signedDocument({ payload, signature, root }: SignedDelegation): JsonObject {
  return { payload, signature, root: { ...root } }
}

async function read(file: string): Promise<JsonObject> {
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new DoorwardError('file_not_read', 'the file cannot be read', { where: file, got: String(error) })
  })
  const scan = scanJson(utf8(bytes.subarray(0, MAX_FILE).toString('utf8')))
  if (scan.ok && isJsonObject(scan.value)) return scan.value
  throw unreadable(file, 'a JSON object')
}

async function write(file: string, document: JsonObject): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(document, null, 2)}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    throw new DoorwardError('file_not_written', 'the file cannot be written', {
      where: file,
      got: error instanceof Error ? error.message : String(error),
      next: 'name a file that is not there yet',
    })
  }
}

function unreadable(where: string, expected: string): DoorwardError {
  return new DoorwardError('file_invalid', 'the file is not what it should be', { where, expected })
}
