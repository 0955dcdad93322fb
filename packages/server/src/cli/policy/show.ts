/** `doorward policy show`: the policy as it is decided, in Cedar, with where each part comes from. */

import type { Command } from 'commander'
import { DoorwardError, nearestName } from '@doorward/core'
import { formatPolicies, openPolicy } from '../../apps/policy-tools.ts'
import type { OpenPolicy, PreparedPolicy } from '../../apps/policy-tools.ts'
import type { CliContext } from '../context.ts'
import { painter } from '../output.ts'

export function registerShow(policy: Command, context: CliContext): void {
  policy
    .command('show')
    .description('show the policy in Cedar: roles as they are compiled, own files, and built-in rules')
    .argument('[role|id]', 'a role, or the id of one policy; everything without it')
    .addHelpText('after', '\nExamples:\n  doorward policy show\n  doorward policy show researcher')
    .action(async (name: string | undefined) => {
      const open = await openPolicy(await context.deployment())
      const chosen = choose(open, name)
      const texts = await formatPolicies(chosen.map(({ text }) => text))
      const settings = settingsOf(open, name)
      if (context.json) {
        const policies = chosen.map(({ id, where }, i) => ({ id, from: origin(id, where), text: texts[i] ?? '' }))
        context.out(JSON.stringify({ settings, policies }))
        return
      }
      const paint = painter(context.color)
      if (settings.length > 0) context.out(settings.map((line) => paint('dim', `// ${line}`)).join('\n') + '\n')
      for (const [i, { id, where }] of chosen.entries()) {
        if (where !== null) context.out(paint('dim', `// ${id}, from ${where}`))
        context.out(`${texts[i] ?? ''}\n`)
      }
    })
}

function origin(id: string, where: string | null): string {
  if (where !== null) return where
  if (id.startsWith('builtin:')) return 'built in'
  if (id.startsWith('role:')) return `role ${id.slice('role:'.length, id.lastIndexOf('/'))}`
  return `made to go with ${id.slice(0, id.lastIndexOf('/'))}`
}

function choose({ policies, known }: OpenPolicy, name: string | undefined): readonly PreparedPolicy[] {
  if (name === undefined) return policies
  const one = policies.filter(({ id }) => id === name)
  if (one.length > 0) return one
  const mention = `Role::${JSON.stringify(name)}`
  const ofRole = policies.filter(({ id, text }) => id.startsWith(`role:${name}/`) || text.includes(mention))
  if (ofRole.length > 0 || known.roles.has(name)) return ofRole
  const near = nearestName(name, [...known.roles, ...policies.map(({ id }) => id)])
  throw new DoorwardError('policy_unknown', 'there is no such role and no policy with that id', {
    got: JSON.stringify(name.slice(0, 120)),
    ...(near === null ? {} : { expected: near }),
    next: 'doorward policy show tells all of them',
  })
}

/** Everything else that a decision depends on; of a role, to whom it is bound. */
function settingsOf({ compiled }: OpenPolicy, name: string | undefined): readonly string[] {
  const [head = ''] = compiled.text.split('\n\n', 1)
  const lines = head.split('\n').map((line) => line.replace(/^\/\/ /, ''))
  return name === undefined ? lines : lines.filter((line) => line.startsWith(`role ${name}: `))
}
