/** The reference of refusals: the table of denials as callers see it, with what to do next. */

import { denialTable } from '../../packages/enforcement/src/denial.ts'
import type { DenialCode } from '../../packages/enforcement/src/denial.ts'
import { next } from './error-next.ts'
import { page, table } from './page-parts.ts'
import type { Page } from './page-parts.ts'

const INTRODUCTION = `Every refusal has one code, the same in the answer, the record and the metrics. Plain HTTP answers have it in \`error.code\`, JSON-RPC
errors in \`error.data.code\`, results of tools in \`_meta["doorward/code"]\`. The caller learns the text below and the id of the
decision; what was expected and what came is for operators, under that id: \`doorward audit query --id\`.`

const READING = `**HTTP** and **RPC** are the status and the JSON-RPC code, unless the protocol era of the caller demands others; 200 means that
the message was answered, with an error or a result of that kind. **Retry**: the same request may succeed later. **Record**:
\`single\`, each by itself once the caller is known; \`counted\`, per source and second, because strangers can cause it at will;
\`explained\`, singly as long as the budget for that lasts. Whoever is not known yet is counted in the first kind too.`

const COMMANDS = `A command that fails says itself what was wrong, where, what was expected, what came, and what to do next; with \`--json\`
these are \`error.code\`, \`message\`, \`where\`, \`expected\`, \`got\` and \`next\`. A refusal by a server has its code from above.`

const EXITS = [
  ['0', 'done', 'nothing'],
  [
    '1',
    'the answer is no: denied, or a check that failed',
    'read the code; with a permission that is named, ask for it',
  ],
  ['2', 'usage, configuration, or what the command needs is not there', 'do what `next` says; `usage`: `--help`'],
] as const

function recorded({ counted, explained }: (typeof denialTable)[DenialCode]): string {
  if (explained) return 'explained'
  return counted ? 'counted' : 'single'
}

export function errorsPage(): Page {
  const codes = Object.keys(denialTable) as DenialCode[]
  const rows = codes.map((code) => {
    const row = denialTable[code]
    const retry = row.retryable ? 'yes' : ''
    return [`\`${code}\``, String(row.http), String(row.rpc), retry, recorded(row), row.text, next[code]]
  })
  return page('docs/errors.md', 'Refusals and errors', [
    INTRODUCTION,
    READING,
    `## Refusals\n\n${table(['code', 'HTTP', 'RPC', 'retry', 'record', 'means', 'next'], rows)}`,
    `## Commands\n\n${COMMANDS}\n\n${table(['exit code', 'means', 'next'], EXITS)}`,
  ])
}
