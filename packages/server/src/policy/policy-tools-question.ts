/** Questions about a policy as people ask them, made into requests as the gateway makes them. */

import {
  actionTable,
  DoorwardError,
  epochSeconds,
  nearestName,
  ownRoute,
  ownServers,
  parseSpiffeId,
  workloadId,
} from '@doorward/core'
import type { ActionGroup, DecisionRequest, KnownNames, ResourceKind, SpiffeId, Subject } from '@doorward/core'

export interface AskedUser {
  readonly issuer: string
  readonly user: string
  readonly groups: readonly string[]
}

export interface Question {
  /** The workload that calls: `agent/planner`, or a SPIFFE ID. */
  readonly presenter: string
  /** Roles that its registration gives it. */
  readonly roles: readonly string[]
  /** On whose behalf; null for itself. A text is a workload. */
  readonly behalf: string | AskedUser | null
  /** Actors between the presenter and whoever is acted for, the nearest to the presenter first. */
  readonly through: readonly string[]
  readonly action: string
  /** `server/name`, or a server for actions on the server itself. */
  readonly resource: string
  /** What the call counts as; by default as the gateway would say. */
  readonly effect: ActionGroup | null
  /** By default the one that fits action and resource. */
  readonly kind: ResourceKind | null
  readonly args: unknown
  readonly timeSeconds: number
  readonly address: string
}

/** Throws `spiffe_id_invalid`, `principal_invalid`, `action_unknown`, `resource_invalid`. What policy does not know is left to it. */
export function requestOf(question: Question, known: KnownNames): DecisionRequest {
  const { action: name, args, timeSeconds, address } = question
  const resource = resourceOf(question)
  const group = question.effect ?? groupOf(name, resource, known)
  return {
    principal: principalOf(question, known),
    action: { name, group },
    resource,
    context: { args, timeSeconds, remoteAddress: address },
  }
}

export function principalOf(
  { presenter, roles, behalf, through }: Pick<Question, 'presenter' | 'roles' | 'behalf' | 'through'>,
  known: KnownNames,
): DecisionRequest['principal'] {
  const id = workloadOf(presenter, known)
  return {
    subject: subjectOf(behalf, id, known),
    presenter: id,
    act: through.map((one) => workloadOf(one, known)),
    roles,
    epoch: 1,
    strength: 'mtls-bound-token',
    certificateFingerprint: '',
    certificateSerial: '',
    tokenId: null,
    expires: epochSeconds(0),
  }
}

/** Throws `spiffe_id_invalid`, `principal_invalid` for a user. */
export function workloadOf(text: string, { trustDomain }: KnownNames): SpiffeId {
  if (text.includes('#')) {
    throw new DoorwardError('principal_invalid', 'a user calls through a workload', {
      got: JSON.stringify(text.slice(0, 120)),
      expected: 'a workload, and the user as whom the call is for',
    })
  }
  return text.startsWith('spiffe://') ? parseSpiffeId(text) : workloadId(trustDomain, ...text.split('/'))
}

function subjectOf(behalf: Question['behalf'], presenter: SpiffeId, known: KnownNames): Subject {
  if (behalf === null) return { kind: 'workload', id: presenter }
  if (typeof behalf === 'string') return { kind: 'workload', id: workloadOf(behalf, known) }
  return { kind: 'user', issuer: behalf.issuer, subject: behalf.user, groups: behalf.groups }
}

/** `<issuer>#<subject>` is a user; everything else names a workload. */
export function behalfOf(text: string, groups: readonly string[]): string | AskedUser {
  const at = text.lastIndexOf('#')
  return at < 0 ? text : { issuer: text.slice(0, at), user: text.slice(at + 1), groups }
}

function resourceOf({ action, resource, kind }: Question): DecisionRequest['resource'] {
  const row = actionTable.get(action)
  if (row === undefined) {
    const near = nearestName(action, actionTable.keys())
    throw new DoorwardError('action_unknown', 'there is no such action', {
      got: JSON.stringify(action.slice(0, 60)),
      expected: near ?? 'a method of MCP such as tools/call, or of HTTP such as GET',
    })
  }
  const slash = resource.indexOf('/')
  const server = slash < 0 ? resource : resource.slice(0, slash)
  const name = slash < 0 ? '' : resource.slice(slash + 1)
  const kinds = new Set(row.uses.flatMap((use) => use.kinds))
  const found = kind ?? kindOf(kinds, name)
  if (found === null || server === '') {
    throw new DoorwardError('resource_invalid', 'that is nothing to which the action applies', {
      got: JSON.stringify(resource.slice(0, 120)),
      expected: [...kinds].map((one) => (one === 'server' ? 'a server' : `<server>/<name of a ${one}>`)).join(' or '),
    })
  }
  return { server, kind: found, name: found === 'route' ? `/${name}` : name }
}

function kindOf(kinds: ReadonlySet<ResourceKind>, name: string): ResourceKind | null {
  if (name === '') return kinds.has('server') ? 'server' : null
  const items = [...kinds].filter((kind) => kind !== 'server')
  if (items.length < 2) return items[0] ?? null
  // Resources are named by URIs.
  const uri = name.includes('://')
  return items.find((kind) => (kind === 'resource') === uri) ?? null
}

function groupOf(action: string, { server, kind, name }: DecisionRequest['resource'], known: KnownNames): ActionGroup {
  if (ownServers.includes(server)) return ownRoute(server, action, name)?.action.group ?? 'admin'
  if (action === 'tools/call') return known.effectOf(server, name)
  return actionTable.get(action)?.uses.find(({ kinds }) => kinds.includes(kind))?.group ?? 'session'
}
