import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { confirmed } from '../../../packages/server/src/cli/confirmation.ts'
import type { CliContext } from '../../../packages/server/src/cli/context.ts'

function asked(input: string, { terminal = true, json = false } = {}): Promise<boolean> {
  const stdin = Object.assign(new PassThrough(), { isTTY: terminal })
  stdin.write(`${input}\n`)
  const { signal } = new AbortController()
  return confirmed({ stdin, json, signal } as Partial<CliContext> as CliContext, 'apply this?')
}

test('only a plain yes is a yes', async () => {
  for (const yes of ['y', 'Y', 'yes', ' YES ']) assert.equal(await asked(yes), true, yes)
  for (const no of ['', 'n', 'no', 'yess', 'yes please', '1']) assert.equal(await asked(no), false, no)
})

test('where no person can answer, nobody is asked', async () => {
  await assert.rejects(asked('y', { terminal: false }), { code: 'confirmation_needed' })
  await assert.rejects(asked('y', { json: true }), { code: 'confirmation_needed' })
})
