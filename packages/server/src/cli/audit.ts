/** `doorward audit`: reads the record, proves what stands in it, and verifies that it is what was signed. */

import type { Command } from 'commander'
import { registerExports } from './audit-exports.ts'
import { registerFsck } from './audit-fsck.ts'
import { registerHmac } from './audit-hmac.ts'
import { registerKey } from './audit-key.ts'
import { registerProve } from './audit-prove.ts'
import { registerQuery } from './audit-query.ts'
import { registerRedact } from './audit-redact.ts'
import { registerTail } from './audit-tail.ts'
import { registerVerify } from './audit-verify.ts'
import type { CliContext } from './context.ts'

const parts: readonly ((audit: Command, context: CliContext) => void)[] = [
  registerTail,
  registerQuery,
  registerProve,
  registerVerify,
  registerKey,
  registerExports,
  registerRedact,
  registerFsck,
  registerHmac,
]

export function register(program: Command, context: CliContext): void {
  const audit = program
    .command('audit')
    .description('read, search, prove and verify the record')
    .addHelpText('after', '\nExamples:\n  doorward audit query --decision deny --since 2h\n  doorward audit verify')
  for (const part of parts) part(audit, context)
}
