/** What permits grant beyond what their text shows: servers that are still to come, tools that nobody has listed, tools that administer. */

import type { Finding } from './analysis-finding.ts'
import { serversOf } from './analysis-reach.ts'
import type { Reach } from './analysis-reach.ts'
import { ownServers } from './builtin.ts'
import type { Policy } from './cedar/expression.ts'

const MAX_LISTED = 20

/** A name that no server can have. */
const laterServer = '(later)'

export function grantsOf(policy: Policy, reach: Reach): readonly Finding[] {
  if (policy.effect === 'forbid') return []
  const { servers: all, tools } = reach.known
  const named = serversOf(policy)
  const servers = [...all].filter((name) => !ownServers.includes(name) && named?.has(name) !== false)
  const findings: Finding[] = []
  const note = (code: string, message: string, help: string | null, related: readonly string[]) => {
    const total = related.length
    findings.push({
      code,
      level: 'note',
      policyId: policy.id,
      message,
      help,
      uid: null,
      related: related.slice(0, MAX_LISTED),
      total,
    })
  }
  if (named === null && reach.reachesSomething(policy, laterServer)) {
    const message = 'the rule is about every server, also those that are configured later'
    note('policy_every_server', message, 'name the servers to keep it to them', servers)
  }
  const unlisted = servers.filter((server) => !tools.has(server) && reach.reachesUnknownTool(policy, server))
  if (unlisted.length > 0 && !namesItsTools(policy)) {
    const message = 'the rule covers tools that nobody has listed: whatever these servers offer, today or later'
    note('policy_unknown_tools', message, 'give the lists of their tools: servers.<name>.tools', unlisted)
  }
  const administering = servers.flatMap((server) =>
    Array.from(reach.toolsOf(policy, server, ['admin']), (name) => `${server}/${name}`),
  )
  if (administering.length > 0)
    note('policy_admin_tools', 'the rule covers tools that administer or destroy', null, administering)
  return findings
}

/** By a scope of one item, or a condition on the whole name, so that no more than is written is covered. */
function namesItsTools({ resource, conditions }: Policy): boolean {
  if (resource.kind === 'equal') return true
  return conditions.some(({ kind, body }) => kind === 'when' && demands(body))
}

function demands(body: Policy['conditions'][number]['body']): boolean {
  if (body.kind === 'and') return demands(body.left) || demands(body.right)
  if (body.kind !== 'binary') return false
  const { operator, left, right } = body
  if (operator === '==') return isName(left) && right.kind === 'literal'
  return operator === 'contains' && left.kind === 'set' && isName(right)
}

function isName(expression: Policy['conditions'][number]['body']): boolean {
  return (
    expression.kind === 'get' &&
    expression.name === 'name' &&
    expression.of.kind === 'variable' &&
    expression.of.name === 'resource'
  )
}
