/** `doorward call`: one tool call as this identity, with the decision that it met. */

import type { Command } from 'commander'
import type { JsonObject, JsonValue } from '@doorward/core'
import type { Identity, McpAnswer, McpClient } from '@doorward/sdk'
import type { CliContext } from './context.ts'
import { CallDenied, CheckFailed } from './failure.ts'
import { asOption, asUserOption, callerText, noUserOption, onBehalfOf, userOf } from './identity-option.ts'
import type { UserOptions } from './identity-option.ts'
import { painter, printable } from './output.ts'
import { onServer } from './server-session.ts'
import { receiptKeeper } from './receipt-option.ts'
import type { KeepReceipt } from './receipt-option.ts'
import { readArguments } from './tool-arguments.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('call')
    .description('call one tool through the gateway')
    .argument('<server>', 'name under servers: in the configuration')
    .argument('<tool>', 'name of the tool')
    .argument('[arguments...]', 'name=value; values are read as the tool declares them')
    .option(...asOption)
    .option(...asUserOption)
    .option(...noUserOption)
    .option('--receipt <file>', "keep the gateway's proof that the call stands in its record, allowed or denied")
    .option('--key <vkey>', "verifier key of the gateway's log or a file with it, instead of the one that is kept here")
    .addHelpText('after', EXAMPLES)
    .action(async (server: string, tool: string, words: readonly string[], options: CallOptions) => {
      const keep = await receiptKeeper(context, options)
      return onServer(context, { server, as: options.as, onBehalf: onBehalfOf(options) }, (identity, client) =>
        call(context, { tool, words, keep }, { identity, client }),
      )
    })
}

interface CallOptions extends UserOptions {
  readonly as?: string
  readonly receipt?: string
  readonly key?: string
}

const EXAMPLES = `
Examples:
  doorward call files read_text_file path=notes.md
  doorward call files read_text_file path=notes.md --receipt call.tlog-proof`

interface Wanted {
  readonly tool: string
  readonly words: readonly string[]
  /** What is done about the receipt of the call. */
  readonly keep: KeepReceipt
}

async function call(
  context: CliContext,
  { tool, words, keep }: Wanted,
  { identity, client }: { identity: Identity; client: McpClient },
): Promise<void> {
  const told = { identity: identity.id.uri, ...(await userOf(identity)) }
  const caller = await callerText(identity)
  const given = readArguments(words, await schemaOf(client, tool))
  const answer = await client.request('tools/call', { name: tool, arguments: given })
  // What the call has brought is told first, whatever becomes of its receipt.
  const failed = await keep(identity, answer.decision?.decision ?? null).then(
    () => null,
    (error: unknown) => ({ error }),
  )
  tell(context, { told, caller }, answer)
  if (failed !== null) throw failed.error
}

/** What the tool declares; a tool that is not listed is called all the same, so that the denial is seen. */
async function schemaOf(client: McpClient, tool: string): Promise<JsonObject> {
  const listed = await client.list('tools/list', 'tools')
  const schema = listed.find(({ name }) => name === tool)?.['inputSchema']
  return isObject(schema) ? schema : {}
}

interface Caller {
  /** For programs. */
  readonly told: object
  /** For people. */
  readonly caller: string
}

function tell(context: CliContext, { told, caller }: Caller, answer: McpAnswer): void {
  const paint = painter(context.color)
  if (!context.json) context.err(paint('dim', `as ${caller}`))
  const refusal = refusalIn(answer)
  if (refusal !== null) throw refusal
  if (!answer.ok) return
  const decision = answer.decision?.decision ?? null
  const failed = answer.result['isError'] === true
  if (context.json) {
    context.out(JSON.stringify({ ...told, ok: !failed, decision, result: answer.result }))
    if (failed) context.fail()
    return
  }
  for (const text of contentLines(answer.result['content'])) context.out(text)
  if (decision !== null) context.err(paint('dim', `allowed, decision ${decision}`))
  if (failed)
    throw new CheckFailed(
      'tool_failed',
      'the tool was called and reported an error',
      decision === null ? {} : { where: `decision ${decision}` },
    )
}

/** A denial comes as a JSON-RPC error, or as a result that models read (`isError` with our code in `_meta`). */
function refusalIn(answer: McpAnswer): CheckFailed | null {
  const decision = answer.decision?.decision ?? null
  if (!answer.ok) {
    const data = isObject(answer.data) ? answer.data : {}
    return new CallDenied({
      code: text(data['code']) ?? 'call_failed',
      message: answer.message,
      decision: text(data['decision']) ?? decision,
      permission: text(data['permission']),
    })
  }
  const meta = answer.result['_meta']
  const code = isObject(meta) ? text(meta['doorward/code']) : null
  if (!isObject(meta) || code === null || answer.result['isError'] !== true) return null
  return new CallDenied({
    code,
    // The text of the result says the same again for models: code, decision and permission stand apart here.
    message: 'the call was denied',
    decision: text(meta['doorward/decision']) ?? decision,
    permission: text(meta['doorward/permission']),
    next: approvalAdvice(code, text(meta['doorward/approval'])),
  })
}

const APPROVAL = /^ap-[0-9a-f]{16}$/

function approvalAdvice(code: string, id: string | null): string | undefined {
  if (code !== 'approval_pending' || id === null || !APPROVAL.test(id)) return undefined
  return `somebody else has to approve it: doorward approvals approve ${id}; then call again with the same arguments`
}

/** Text as it is, with control characters shown; everything else by its kind. */
function contentLines(content: JsonValue | undefined): readonly string[] {
  if (!Array.isArray(content)) return []
  return (content as readonly JsonValue[]).filter(isObject).flatMap((item) => {
    if (item['type'] === 'text') return (text(item['text']) ?? '').split('\n').map(printable)
    const resource = isObject(item['resource']) ? item['resource'] : item
    const detail = text(resource['uri']) ?? text(item['mimeType']) ?? ''
    return [`[${printable(`${text(item['type']) ?? 'content'} ${detail}`.trim())}]`]
  })
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(value: JsonValue | undefined): string | null {
  return typeof value === 'string' ? value : null
}
