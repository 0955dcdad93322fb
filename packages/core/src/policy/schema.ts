/** The Cedar schema of our world, derived from the action table. */

import { actionTable } from './action.ts'
import { quote } from './cedar-text.ts'
import type { EntityType } from './cedar-text.ts'
import type { ResourceKind } from './decision.ts'

/** Cedar entity type of each kind of resource. */
export const entityTypes: Readonly<Record<ResourceKind, EntityType>> = {
  tool: 'Tool',
  prompt: 'Prompt',
  resource: 'Resource',
  task: 'Task',
  server: 'Server',
  route: 'Route',
}

const entities = `// Who calls. A workload's id is its SPIFFE ID, a user's is <issuer>#<subject>.
entity Role;
entity Workload in [Role];
entity User in [Role];

// What is called. A server's name is empty; the id of an item is <server>/<name>.
entity Server { name: String };
entity Tool, Resource, Prompt, Task, Route in [Server] { name: String };

// effect: the group that this call counts as: read, write, admin or session.
// strength: how strongly the caller proved itself on this request.
type CallContext = { effect: String, strength: String };

// Groups say what an action may count as; context.effect says what this call does count as.
action read, write, admin, session;
`

function actionLine(name: string): string {
  const uses = actionTable.get(name)?.uses ?? []
  const groups = uses.map((use) => use.group)
  const kinds = [...new Set(uses.flatMap((use) => use.kinds.map((kind) => entityTypes[kind])))]
  const applies = `principal: [Workload, User], resource: [${kinds.join(', ')}], context: CallContext`
  return `action ${quote(name)} in [${groups.join(', ')}] appliesTo { ${applies} };\n`
}

/** Cedar schema, human-readable syntax. */
export const policySchema: string = `${entities}\n${[...actionTable.keys()].map(actionLine).join('')}`
