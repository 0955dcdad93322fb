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

const entities = `// Who calls. A workload's id is its SPIFFE ID, a user's is <issuer>#<subject>; path is the SPIFFE ID after the trust domain.
entity Role;
entity Workload in [Role] { id: String, trustDomain: String, path: String };
entity User in [Role] { issuer: String, subject: String, groups: Set<String> };

// What is called. A server's name is empty; the id of an item is <server>/<name>.
entity Server { name: String };
entity Tool, Resource, Prompt, Task, Route in [Server] { name: String };

// Groups say what an action may count as; context.effect says what this call does count as.
action read, write, admin, session;

type CallContext = {
  // The group that this call counts as: read, write, admin or session.
  effect: String,
  // How strongly the caller proved itself on this request.
  strength: String,
  // Where the connection comes from.
  address: ipaddr,
  // The moment, and day (Monday 1 to Sunday 7) and hour in the time zone of the policy.
  time: { now: datetime, weekday: Long, hour: Long, minute: Long },
  // Who presents the call, everyone who acts, how many hops there are (0: for itself), and on whose behalf.
  delegation: { presenter: Workload, actors: Set<Workload>, depth: Long, user?: User, workload?: Workload }
};
`

/** Actions whose calls carry arguments, in `context.args`. */
export const takesArguments: ReadonlySet<string> = new Set(['tools/call', 'prompts/get'])

function actionLine(name: string, args: string): string {
  const uses = actionTable.get(name)?.uses ?? []
  const groups = uses.map((use) => use.group)
  const kinds = [...new Set(uses.flatMap((use) => use.kinds.map((kind) => entityTypes[kind])))]
  const context = takesArguments.has(name) ? argumentContext(args) : 'CallContext'
  const applies = `principal: [Workload, User], resource: [${kinds.join(', ')}], context: ${context}`
  return `action ${quote(name)} in [${groups.join(', ')}] appliesTo { ${applies} };\n`
}

/** Cedar has no type that extends another, so the context is written out once more. */
function argumentContext(args: string): string {
  const members = /type CallContext = \{([^]*?)\n\};/.exec(entities)?.[1] ?? ''
  return `{${members.replaceAll(/\n *\/\/.*/g, '').replaceAll(/\n */g, ' ')}, args: ${args} }`
}

/** Only what is called with arguments: much the quicker to check many types of them against. */
export function argumentSchema(args: string): string {
  return `${entities.slice(0, entities.indexOf('type CallContext'))}${Array.from(takesArguments, (name) => actionLine(name, args)).join('')}`
}

/** Cedar schema, human-readable syntax. `args` is the type of `context.args`: no arguments unless told. */
export function policySchema(args = '{}'): string {
  return `${entities}\n${Array.from(actionTable.keys(), (name) => actionLine(name, args)).join('')}`
}
