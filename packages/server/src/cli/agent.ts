/** `doorward agent`: identities for programs in any language, as files that stay fresh or over the SPIFFE Workload API. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { AgentEvent, AgentOptions } from '../apps/credential-agent.ts'
import type { TokenRequest } from '../apps/credential-generation.ts'
import type { CliContext } from './context.ts'
import { CallDenied, CheckFailed } from './failure.ts'
import { asOption } from './identity-option.ts'
import { painter, printable } from './output.ts'

interface RunOptions {
  readonly write?: string
  readonly socket?: string
  readonly as?: string
  readonly token: readonly string[]
  readonly onChange?: readonly string[]
  readonly once: boolean
}

export function register(program: Command, context: CliContext): void {
  const agent = program
    .command('agent')
    .description(
      'identities for programs in any language: credential files that stay fresh, or the SPIFFE Workload API',
    )
    .addHelpText('after', '\nExample:\n  doorward agent run --write /run/planner --as agent/planner')
  agent
    .command('run')
    .description(
      'write certificate, key, bundle and tokens, and replace them together before they end, or serve them; SIGTERM ends it',
    )
    .argument('[word...]', 'more words of --on-change, after --')
    .option('--write <dir>', 'folder of the files; made with mode 0700, and for this identity alone')
    .option('--socket <path>', 'serve the SPIFFE Workload API there instead, as workload_api of the configuration says')
    .option(...asOption)
    .option('--token <audience=file...>', 'a token for this server, or the URL of one, in this file of the folder', [])
    .option('--on-change <program...>', 'run this after each change, without a shell, for at most 30 s')
    .option('--once', 'write the files once, then end', false)
    .addHelpText(
      'after',
      `
Files: svid.pem, svid.key, svid_and_key.pem, bundle.pem, bundle.spiffe.json, status.json, and one for each token.

Examples:
  doorward agent run --write /run/planner --as agent/planner --token files=files.token
  doorward agent run --write /run/proxy --as service/proxy --on-change systemctl reload haproxy
  doorward agent run --write /run/proxy --as service/proxy --on-change pkill -- -HUP nginx
  doorward agent run --socket /run/doorward/workload.sock`,
    )
    .action((words: readonly string[], options: RunOptions) => run(words, options, context))
}

async function run(words: readonly string[], options: RunOptions, context: CliContext): Promise<void> {
  if (options.socket !== undefined) return (await import('./agent-socket.ts')).serve(options, words, context)
  if (options.write === undefined) throw nowhere()
  const onChange = commandWords(options.onChange, words)
  const { keepCredentials, writeCredentials } = await import('../apps/credential-agent.ts')
  const { problemNotice } = await import('../apps/bridge.ts')
  const { ServerRefused } = await import('@doorward/sdk')
  const notice = problemNotice(
    (text) => context.err(`warning: ${printable(text)}`),
    () => performance.now(),
  )
  const agent: AgentOptions = {
    deployment: await context.deployment(),
    environment: context.environment,
    as: options.as,
    folder: resolve(options.write),
    tokens: await tokenRequests(options.token, context),
    onChange,
    report: (event, folder) =>
      context.json ? tellProgram(event, folder, context) : tell(event, folder, context, notice),
    signal: context.signal,
  }
  try {
    await (options.once ? writeCredentials(agent) : keepCredentials(agent))
  } catch (error) {
    if (isDoorwardError(error, 'identity_dead')) throw failed(error)
    if (error instanceof ServerRefused) throw new CallDenied(error)
    throw error
  }
}

function nowhere(): DoorwardError {
  return new DoorwardError('usage', 'nothing says where programs find the identity', {
    expected: '--write DIR or --socket PATH',
    next: 'doorward agent run --help',
  })
}

/** Words with a leading dash come after `--`, because they would be taken for options of ours. */
function commandWords(program: readonly string[] | undefined, rest: readonly string[]): AgentOptions['onChange'] {
  const [first, ...others] = program ?? []
  if (first !== undefined) return [first, ...others, ...rest]
  if (rest.length === 0) return null
  throw new DoorwardError('usage', `there is nothing that ${rest[0]} could belong to`, {
    expected: '--on-change PROGRAM before --',
    next: 'doorward agent run --help',
  })
}

async function tokenRequests(words: readonly string[], context: CliContext): Promise<readonly TokenRequest[]> {
  const { serverEndpoint } = await import('../apps/bridge.ts')
  const deployment = await context.deployment()
  return words.map((word) => {
    const at = word.lastIndexOf('=')
    const [audience, file] = [word.slice(0, Math.max(0, at)), word.slice(at + 1)]
    if (audience === '' || file === '') {
      throw new DoorwardError('token_option_invalid', 'that is not an audience and a file', {
        expected: 'SERVER=FILE or URL=FILE',
        got: word,
      })
    }
    return { audience: audience.includes('://') ? audience : serverEndpoint(deployment, audience).audience, file }
  })
}

function failed({ code, message, where, got, next }: DoorwardError): CheckFailed {
  const detail = { where, got, next }
  return new CheckFailed(
    code,
    message,
    Object.fromEntries(Object.entries(detail).filter(([, text]) => text !== undefined)),
  )
}

function tell(event: AgentEvent, folder: string, context: CliContext, notice: (error: unknown) => void): void {
  const paint = painter(context.color)
  switch (event.type) {
    case 'written': {
      const { id, certificate } = event.svid
      const until = new Date(certificate.notAfter * 1000).toISOString()
      context.out(`${paint('green', '✓')} ${id.uri} in ${printable(folder)}, valid until ${until}`)
      for (const { audience, file } of event.refused)
        context.err(`warning: no token in ${file}: the authority gives none for ${printable(audience)}`)
      break
    }
    case 'withdrawn':
      context.err(paint('red', `withdrawn: ${printable(event.message)} (${event.code})`))
      break
    case 'problem':
      notice(event.error)
      break
    case 'command':
      if (event.problem !== null) context.err(`warning: ${printable(lineOf(event.problem))}`)
  }
}

function tellProgram(event: AgentEvent, folder: string, context: CliContext): void {
  context.out(JSON.stringify({ event: event.type, folder, ...detailOf(event) }))
}

function detailOf(event: AgentEvent): object {
  switch (event.type) {
    case 'written': {
      const { svid, tokens, refused } = event
      return {
        id: svid.id.uri,
        serial: svid.certificate.serial,
        not_after: svid.certificate.notAfter,
        tokens: tokens.map(({ audience, file, expiresAt }) => ({ audience, file, expires_at: expiresAt })),
        refused,
      }
    }
    case 'withdrawn':
      return { code: event.code, message: event.message }
    case 'problem':
      return { code: isDoorwardError(event.error) ? event.error.code : 'internal', message: messageOf(event.error) }
    case 'command':
      return { ok: event.problem === null, code: event.problem?.code ?? null, got: event.problem?.got ?? null }
  }
}

function lineOf({ message, where, got }: DoorwardError): string {
  return [message, where, got].filter((part) => part !== undefined).join(': ')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
