/** What is asked of a policy, and what it answers. */

import type { Principal } from '../identity/principal.ts'

/** Groups of actions. `session` is allowed wherever anything is. */
export type ActionGroup = 'read' | 'write' | 'admin' | 'session'

export interface Action {
  /** MCP method (`tools/call`) or HTTP method (`GET`). */
  readonly name: string
  readonly group: ActionGroup
}

export type ResourceKind = 'tool' | 'prompt' | 'resource' | 'task' | 'server' | 'route'

export interface Resource {
  /** Configured server name, or the name of our own API (`authority`, `gateway`). */
  readonly server: string
  readonly kind: ResourceKind
  /** Tool or prompt name, resource URI, route path; empty for the server itself. */
  readonly name: string
}

export interface DecisionContext {
  /** Arguments of the call; `undefined` means not known (yet), which a list decision leaves open. */
  readonly args: unknown
  readonly timeSeconds: number
  readonly remoteAddress: string
}

export interface DecisionRequest {
  readonly principal: Principal
  readonly action: Action
  readonly resource: Resource
  readonly context: DecisionContext
}

/** As a decision request, of something of that kind on the server, whatever it is called. */
export interface SomeRequest {
  readonly principal: Principal
  readonly action: Action
  readonly server: string
  readonly kind: Exclude<ResourceKind, 'route' | 'server'>
  /** Its arguments are not looked at. */
  readonly context: DecisionContext
}

/** A duty that an allow brings with it. Unknown kinds must be refused by who carries them out. */
export type Obligation = { readonly kind: 'filter-list' } | ApprovalDuty

/** Somebody of a group of approvers has to approve this very call before it leaves. */
export interface ApprovalDuty {
  readonly kind: 'approval'
  /** The group, as configuration names it. */
  readonly by: string
  /** Ids of the policies, and `approval:<permission>` of the rules, that ask for it. */
  readonly rules: readonly string[]
}

export interface PolicyVersion {
  /** SHA-256 over the canonical policy text, base64url. */
  readonly digest: string
  readonly sequence: number
}

/** What a candidate policy says of the same request, where that is something else. Never enforced. */
export interface ShadowVerdict {
  readonly effect: 'allow' | 'deny'
  /** As in a denial; null for an allow. */
  readonly reason: 'none' | 'forbid' | 'error' | null
  readonly policies: readonly string[]
  /** Groups whose approval it asks for; none by default. */
  readonly approvals?: readonly string[]
  readonly version: PolicyVersion
}

export type Verdict =
  | {
      readonly effect: 'allow'
      readonly policies: readonly string[]
      readonly obligations: readonly Obligation[]
      readonly version: PolicyVersion
      readonly shadow?: ShadowVerdict
    }
  | {
      readonly effect: 'deny'
      /** `none`: nothing matched; `forbid`: a rule forbade; `error`: a rule that applies failed. */
      readonly reason: 'none' | 'forbid' | 'error'
      readonly policies: readonly string[]
      /** For the operator, never for the caller. */
      readonly explanation: string
      /** The narrowest permission that would have allowed this; null when no permission would. */
      readonly wouldAllow: string | null
      readonly version: PolicyVersion
      readonly shadow?: ShadowVerdict
    }

/** `depends`: some arguments (or names, of `SomeRequest`) would be allowed and others not. */
export type ListVerdict = 'allow' | 'deny' | 'depends'
