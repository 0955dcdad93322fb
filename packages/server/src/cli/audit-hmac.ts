/** `doorward audit hmac`: how a value stands in the record where a rule keeps its HMAC, to search for it. */

import type { Command } from 'commander'
import { DoorwardError, fromUtf8 } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import { gatewayAdminAudience } from '../config/settings.ts'
import { logOption } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { asIdentity, asOption } from './identity-option.ts'

interface HmacOptions {
  readonly log?: string
  readonly as?: string
  readonly valueJson?: boolean
}

const MAX_BYTES = 65_536

export function registerHmac(audit: Command, context: CliContext): void {
  audit
    .command('hmac')
    .description(
      'compute the HMAC by which a value from standard input is kept; the gateway does, and records that you asked',
    )
    .option(...logOption)
    .option(...asOption)
    .option('--value-json', 'the value is JSON: a number, an object; a text by default, without a final line end')
    .addHelpText('after', '\nExample:\n  doorward audit hmac --log gateway < value.txt')
    .action((options: HmacOptions) => hmac(options, context))
}

async function hmac({ log = 'gateway', as, valueJson = false }: HmacOptions, context: CliContext): Promise<void> {
  if (log !== 'gateway') {
    throw new DoorwardError('log_unknown', 'only a gateway keeps arguments and results', {
      expected: 'gateway',
      got: log,
    })
  }
  const value = valueOf(await textFrom(context), valueJson)
  const deployment = await context.deployment()
  const { gateway } = deployment
  const endpoint = { url: gateway.adminUrl, audience: gatewayAdminAudience(deployment), expectedId: gateway.id }
  const answer = await asIdentity(context, as, (identity) => new AdminClient(identity, endpoint).hmac(value))
  context.out(context.json ? JSON.stringify({ hmac: answer }) : answer)
}

function valueOf(text: string, isJson: boolean): JsonValue {
  if (!isJson) return text.replace(/\r?\n$/, '')
  try {
    return JSON.parse(text) as JsonValue
  } catch {
    throw new DoorwardError('usage', 'the value is no JSON', { where: 'standard input', expected: 'JSON' })
  }
}

async function textFrom({ stdin }: CliContext): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of stdin as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > MAX_BYTES) {
      throw new DoorwardError('usage', 'the value is too long', {
        where: 'standard input',
        expected: `at most ${MAX_BYTES} bytes`,
      })
    }
    parts.push(part)
  }
  return fromUtf8(Buffer.concat(parts))
}
