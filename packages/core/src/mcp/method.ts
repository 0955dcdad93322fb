/** What a protocol revision says of a method. */

export type Era = 'legacy' | 'modern'

/** Policy's groups of actions; `session` is allowed wherever anything is. */
export type MethodGroup = 'read' | 'write' | 'admin' | 'session'

/** What a message is about, in the words of policy: `server` is the MCP server as a whole, with an empty name. */
export interface McpSubject {
  readonly kind: 'tool' | 'prompt' | 'resource' | 'task' | 'server'
  readonly name: string
}

export const SERVER_SUBJECT: McpSubject = Object.freeze({ kind: 'server', name: '' })

/** How the subject is found in the body. */
export type SubjectRule =
  /** The server itself. */
  | { readonly from: 'server' }
  /** A string in `params`; the modern era mirrors it in `Mcp-Name`. */
  | {
      readonly from: 'param'
      readonly field: 'name' | 'uri' | 'taskId'
      readonly kind: 'tool' | 'prompt' | 'resource' | 'task'
    }
  /** `params.ref`: a prompt by name, or a resource or template by URI. */
  | { readonly from: 'ref' }
  /** `params.notifications`: any number of resource URIs and task ids. */
  | { readonly from: 'filter' }

/** Where the items of a list result are and what names each. */
export interface ListRule {
  readonly items: 'tools' | 'prompts' | 'resources' | 'resourceTemplates' | 'tasks'
  readonly name: 'name' | 'uri' | 'uriTemplate' | 'taskId'
  readonly kind: 'tool' | 'prompt' | 'resource' | 'task'
}

/** A message that a client may send. */
export interface ClientMethod {
  readonly method: string
  readonly kind: 'request' | 'notification'
  readonly subject: SubjectRule
  /** `declared`: the effect that the operator has declared for the tool. */
  readonly group: MethodGroup | 'declared'
  /** Set when the result is a list that has to be filtered. */
  readonly list: ListRule | undefined
  /** `params.arguments` is an object that policies may look at. */
  readonly takesArguments: boolean
  /** The param that names another exchange of the same session. */
  readonly refersTo: 'requestId' | 'progressToken' | undefined
}

/** A message that a server may send. */
export interface ServerMethod {
  readonly method: string
  readonly kind: 'request' | 'notification'
  readonly subject: SubjectRule
  /** The client capability that the request needs; undefined when none. */
  readonly capability: 'sampling' | 'elicitation' | 'roots' | 'tasks' | undefined
  readonly refersTo: 'requestId' | 'progressToken' | undefined
}

/** Everything that is legal in one revision of the protocol. What is not in a map does not exist. */
export interface Revision {
  readonly version: string
  readonly era: Era
  readonly client: ReadonlyMap<string, ClientMethod>
  readonly server: ReadonlyMap<string, ServerMethod>
}

/** Builds a revision; a method that is given twice is a mistake in the tables. */
export function defineRevision(
  version: string,
  era: Era,
  methods: { readonly client: readonly ClientMethod[]; readonly server: readonly ServerMethod[] },
): Revision {
  return { version, era, client: byMethod(methods.client), server: byMethod(methods.server) }
}

function byMethod<Row extends { readonly method: string }>(rows: readonly Row[]): ReadonlyMap<string, Row> {
  const map = new Map(rows.map((row) => [row.method, row]))
  if (map.size !== rows.length) throw new TypeError('a method stands twice in a revision')
  return map
}
