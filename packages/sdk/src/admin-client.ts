/** The admin APIs of authority and gateway, called as an operator. */

import { isJsonObject, Secret } from '@doorward/core'
import type {
  JsonObject,
  JsonValue,
  P256Jwk,
  SignedDelegation,
  SpiffeId,
  TrustDomain,
  WorkloadDocument,
} from '@doorward/core'
import { AdminRoute } from './admin-client-route.ts'
import { readApproval, readApprovalResults, readApprovals } from './admin-approvals.ts'
import type { ApprovalAnswerBody, ApprovalResult, ApprovalView } from './admin-approvals.ts'
import { probeDocument, readCeremony, readDelegationView } from './admin-ceremony.ts'
import type { CeremonyView, DelegationView, NewCeremony, Probe } from './admin-ceremony.ts'
import { readReceivers, readRevocation, readRevocationRows } from './admin-revocation.ts'
import type {
  Revocation,
  RevocationMark,
  RevocationReceivers,
  RevocationRow,
  RevocationSubject,
} from './admin-revocation.ts'
import { readDefinitionsApproval, readDefinitionsBody, readServers } from './definitions-answer.ts'
import type { DefinitionsAnswer, DefinitionsApproval } from './definitions-answer.ts'
import { invalidAnswer, listOf, readCounts, readWorkload, readWorkloadDetail } from './admin-workload.ts'
import type { EndedCounts, Workload, WorkloadDetail, WorkloadQuery } from './admin-workload.ts'
import { readJsonBody } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { readLines } from './lines.ts'
import { readRefusal, refusalError, ServerRefused } from './refusal.ts'
import type { SignedFetch } from './signed-fetch.ts'

/** One admin API: where it is, whom its tokens name, who must answer. */
export interface AdminEndpoint {
  readonly url: string
  readonly audience: string
  readonly expectedId: SpiffeId
  /**
   * URLs at which other authorities have the same API, for when this one cannot be reached: a call goes there when it only
   * reads, or when nothing of it was sent. None by default.
   */
  readonly others?: () => readonly string[]
}

export interface JoinInvitation {
  /** The join string: hand it over by file, never by argument or environment. */
  readonly joinString: Secret
  /** Seconds since 1970; null for one without a token, which is no secret and does not end. */
  readonly expiresAt: number | null
}

/** One entry of a record as the gateway tells it. */
export interface RecordLine {
  readonly origin: string
  readonly index: number
  readonly kind: string
  readonly document: JsonObject
}

const LIMIT = 16 * 1024 * 1024
const LINE = 256 * 1024
const PER_PAGE = 500

/** All methods throw the server's refusal code, `response_invalid`, or what the call throws. */
export class AdminClient {
  readonly #fetch: SignedFetch
  readonly #endpoint: AdminEndpoint
  readonly #route: AdminRoute

  constructor(fetch: SignedFetch, endpoint: AdminEndpoint) {
    this.#fetch = fetch
    this.#endpoint = endpoint
    this.#route = new AdminRoute(endpoint)
  }

  /** Page by page, sorted by id. */
  async *workloads(query: WorkloadQuery = {}): AsyncGenerator<Workload> {
    let after: string | null = null
    do {
      const asked: string = search({ ...query, limit: String(PER_PAGE), ...(after === null ? {} : { after }) })
      const { workloads, next } = await this.#json('GET', `/v1/workloads?${asked}`)
      yield* listOf(workloads, (one) => readWorkload(one, this.#trustDomain))
      if (next !== null && typeof next !== 'string') throw invalidAnswer('next as text')
      // Whoever turns the pages back would keep us here for ever.
      if (next !== null && after !== null && next <= after) throw invalidAnswer('a page after the last one')
      after = next
    } while (after !== null)
  }

  async listWorkloads(query: WorkloadQuery = {}): Promise<readonly Workload[]> {
    const all: Workload[] = []
    for await (const workload of this.workloads(query)) all.push(workload)
    return all
  }

  /** The workload with everything that stands on it. Throws `resource_unknown`. */
  async workload(id: string): Promise<WorkloadDetail> {
    return readWorkloadDetail(await this.#json('GET', `/v1/workload?${search({ id })}`), this.#trustDomain)
  }

  /** Null when it is not registered. */
  async findWorkload(id: string): Promise<WorkloadDetail | null> {
    try {
      return await this.workload(id)
    } catch (error) {
      if (error instanceof ServerRefused && error.code === 'resource_unknown') return null
      throw error
    }
  }

  /**
   * Registers a workload with its roles. `more` are further members of its document, and `again` for an id that was
   * removed before. Throws `request_invalid` with `problems` in its details, `conflict` with a `reason`.
   */
  async addWorkload(
    id: string,
    roles: readonly string[],
    more: Partial<Omit<WorkloadDocument, 'id' | 'roles'>> & { readonly again?: boolean } = {},
  ): Promise<Workload> {
    return readWorkload(await this.#json('POST', '/v1/workloads', { ...more, id, roles }), this.#trustDomain)
  }

  /** Compare-and-swap: puts the document in place of the one at `revision`. Throws as `addWorkload`. */
  async updateWorkload(document: WorkloadDocument, revision: number): Promise<Workload> {
    return readWorkload(await this.#json('PUT', '/v1/workloads', { ...document, revision }), this.#trustDomain)
  }

  /** Denies everything that it holds, at once; what that ended. With `revision`, only while it is that one. */
  async removeWorkload(id: string, revision?: number): Promise<EndedCounts> {
    const query = search({ id, ...(revision === undefined ? {} : { revision: String(revision) }) })
    return readCounts((await this.#json('DELETE', `/v1/workloads?${query}`))['ended'])
  }

  /** Registers a gateway `doorward/gateway/NAME`, as the authority decides. */
  async addGateway(
    name: string,
    more: Partial<Pick<WorkloadDocument, 'dns_names' | 'ip_addresses'>> & { readonly again?: boolean } = {},
  ): Promise<Workload> {
    return readWorkload(await this.#json('POST', '/v1/gateways', { ...more, name }), this.#trustDomain)
  }

  /** Denies what one instance holds and keeps it from returning; the others go on. */
  async lockInstance(id: string, instance: string, reason: string): Promise<void> {
    await this.#json('POST', '/v1/instances/lock', { id, instance, reason })
  }

  /** Denies what one instance holds and forgets it: it may join anew. */
  async removeInstance(id: string, instance: string, reason: string): Promise<void> {
    await this.#json('DELETE', `/v1/instances?${search({ id, instance, reason })}`)
  }

  /**
   * Denies; resolves when the state that shows it is published. Throws `resource_unknown` and `conflict` with a `reason` in
   * its details.
   */
  async revoke(subject: RevocationSubject, reason?: string): Promise<Revocation> {
    const body = { ...subject, ...(reason === undefined ? {} : { reason }) }
    return readRevocation(await this.#json('POST', '/v1/revocations', body))
  }

  /** What is denied now. */
  async revocations(): Promise<readonly RevocationRow[]> {
    return readRevocationRows((await this.#json('GET', '/v1/revocations'))['revocations'])
  }

  /** Who has applied a denial; waits for stragglers, at most so long and at most a minute. */
  async receivers({ delegation, full, callers }: RevocationMark, waitSeconds = 0): Promise<RevocationReceivers> {
    const query = { delegation, full, callers, wait: waitSeconds }
    const texts = Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]))
    return readReceivers(await this.#json('GET', `/v1/receivers?${search(texts)}`))
  }

  /** A join string, with a new single-use token where the registration lists join tokens unless `withToken` says otherwise. */
  async invite(id: string, options: { readonly withToken?: boolean } = {}): Promise<JoinInvitation> {
    const { withToken } = options
    const asked = withToken === undefined ? { id } : { id, token: withToken }
    const { join_string, expires_at } = await this.#json('POST', '/v1/join-strings', asked)
    if (typeof join_string !== 'string' || (typeof expires_at !== 'number' && expires_at !== null))
      throw invalidAnswer('join_string and expires_at')
    return { joinString: new Secret(join_string), expiresAt: expires_at }
  }

  status(): Promise<JsonObject> {
    return this.#json('GET', '/v1/status')
  }

  /** What decides there: version, since when, counts, and the newest reload if that failed. */
  policy(): Promise<JsonObject> {
    return this.#json('GET', '/v1/policy')
  }

  /** The policy is read anew there; `outcome` says whether it is `changed`, `unchanged` or `refused`. Throws `conflict`. */
  reloadPolicy(): Promise<JsonObject> {
    return this.#json('POST', '/v1/policy')
  }

  /** What a gateway goes by: digest, since when, and the newest reload if that failed. */
  configuration(): Promise<JsonObject> {
    return this.#json('GET', '/v1/configuration')
  }

  /** A gateway reads everything anew; `outcome` as of `reloadPolicy`. Throws `conflict`. */
  reloadConfiguration(): Promise<JsonObject> {
    return this.#json('POST', '/v1/configuration')
  }

  /**
   * Takes away what an entry of the log there says; its place, time and digest stay. Throws `resource_unknown`, and
   * `conflict` with a `reason` in its details.
   */
  redact(entry: string, reason: string): Promise<JsonObject> {
    return this.#json('POST', '/v1/redactions', { entry, reason })
  }

  /** The HMAC of a value as the rules of `audit.keep` keep it there, on record as asked for. Throws `conflict` without a rule. */
  async hmac(value: JsonValue): Promise<string> {
    const { hmac } = await this.#json('POST', '/v1/audit/hmac', { value })
    if (typeof hmac !== 'string' || !/^[0-9a-f]{64}$/.test(hmac)) throw invalidAnswer('hmac')
    return hmac
  }

  /** How much is approved of each server of the gateway, and what is refused now. */
  async servers(): Promise<readonly JsonObject[]> {
    return readServers(await this.#json('GET', '/v1/servers'))
  }

  /** What a server says now, beside what is approved. Throws `resource_unknown`, `upstream_unavailable`. */
  async definitions(server: string): Promise<DefinitionsAnswer> {
    const path = `/v1/servers/definitions?${search({ server })}`
    return readDefinitionsBody(await this.#route.through('GET', (url) => this.#callAt(url, { method: 'GET', path })))
  }

  /** Approves what the digest names. Throws `conflict` when the server says something else by now. */
  async approveDefinitions(server: string, digest: string): Promise<DefinitionsApproval> {
    return readDefinitionsApproval(await this.#json('POST', '/v1/servers/approve', { server, digest }))
  }

  /** The secrets of the gateway, by name: source, version, who may use each, and why there is no value where there is none. */
  async secrets(): Promise<readonly JsonObject[]> {
    return listOf((await this.#json('GET', '/v1/secrets'))['secrets'], (one) => {
      if (!isJsonObject(one)) throw invalidAnswer('secrets as objects')
      return one
    })
  }

  /** A value that is there is never told. Throws `conflict` with a `reason` in its details, `resource_unknown`. */
  changeSecret(change: 'put' | 'rotate', name: string, value: Secret): Promise<JsonObject> {
    return this.#json(change === 'put' ? 'POST' : 'PUT', '/v1/secrets', { name, value: value.reveal() })
  }

  /** Throws `resource_unknown`. */
  async removeSecret(name: string): Promise<void> {
    await this.#json('DELETE', `/v1/secrets?${search({ name })}`)
  }

  /** What waits for the groups of the caller, oldest first, without arguments. Throws `approver_refused`. */
  async approvals(): Promise<readonly ApprovalView[]> {
    return readApprovals(await this.#json('GET', '/v1/approvals'))
  }

  /** One of them, with what is asked for. Throws `resource_unknown`, `approver_refused`. */
  async approval(id: string): Promise<ApprovalView> {
    return readApproval(await this.#json('GET', `/v1/approvals/request?${search({ id })}`))
  }

  /** Answers exactly those. Throws, for a single one, `resource_unknown`, `approver_refused`, `conflict`. */
  async decideApprovals(answer: ApprovalAnswerBody): Promise<readonly ApprovalResult[]> {
    const { approve, requests, reason } = answer
    const named = requests.map(({ id, digest }) => ({ id, digest }))
    const body = { approve, requests: named, ...(reason === undefined ? {} : { reason }) }
    return readApprovalResults(await this.#json('POST', '/v1/approvals/decision', body))
  }

  /** What people have granted the gateway towards servers; no token is told. */
  async grants(): Promise<readonly JsonObject[]> {
    return grantsIn(await this.#json('GET', '/v1/grants'))
  }

  /** One grant, or all of a person: taken away, and told so to the provider. Throws `resource_unknown`. */
  async revokeGrants(what: { readonly id: string } | { readonly user: string }): Promise<readonly JsonObject[]> {
    return grantsIn(await this.#json('DELETE', `/v1/grants?${search({ ...what })}`))
  }

  /** An authority that does not run any more: what it has issued is refused from then on. Throws `resource_unknown`, `conflict`. */
  async forgetAuthority(name: string): Promise<void> {
    await this.#json('DELETE', `/v1/authorities?${search({ name })}`)
  }

  /** What the recovery root is asked to sign. Throws `conflict` while a recovery is not at that point. */
  async wantedDelegation(): Promise<DelegationView> {
    return readDelegationView(await this.#json('GET', '/v1/delegation'))
  }

  /** Hands in what the recovery root has signed. Throws `delegation_refused`, `conflict`. */
  async delegate({ payload, signature, root }: SignedDelegation): Promise<void> {
    await this.#json('POST', '/v1/delegation', { delegation: { payload, signature, root: { ...root } } })
  }

  /** Starts replacing keys; the authorities do the rest. Throws `conflict` while a ceremony is open. */
  async startCeremony({ exclude, ...wanted }: NewCeremony): Promise<CeremonyView> {
    const excluded = exclude === undefined ? {} : { exclude: [...exclude] }
    return readCeremony(await this.#json('POST', '/v1/ceremonies', { ...wanted, ...excluded }))
  }

  /** The newest one, open or ended. Throws `resource_unknown` before the first. */
  async newestCeremony(): Promise<CeremonyView> {
    return readCeremony(await this.#json('GET', '/v1/ceremonies/newest'))
  }

  /** Gives up a ceremony that has published nothing. Throws `conflict` past that point, `resource_unknown` without one. */
  async abandonCeremony(): Promise<CeremonyView> {
    return readCeremony(await this.#json('DELETE', '/v1/ceremonies/newest'))
  }

  /** The denied keys sign once more: a certificate for this key, tokens for these audiences. Throws `conflict`. */
  async askCanaries(publicKey: P256Jwk, audiences: readonly string[]): Promise<void> {
    await this.#json('POST', '/v1/ceremonies/newest/canary', {
      public_key: { ...publicKey },
      audiences: [...audiences],
    })
  }

  /** Ends a recovery with what became of the old keys; its verdict, and the report as a signed note. Throws `conflict`. */
  async reportProbes(
    probes: readonly Probe[],
  ): Promise<{ readonly verdict: 'proven' | 'unproven'; readonly report: string }> {
    const body = { probes: probes.map(probeDocument) }
    const { verdict, report } = await this.#json('POST', '/v1/ceremonies/newest/report', body)
    if ((verdict !== 'proven' && verdict !== 'unproven') || typeof report !== 'string')
      throw invalidAnswer('verdict and report')
    return { verdict, report }
  }

  /** Entries from index `from` on, of the log at `url` alone; with `follow` the stream stays open until the signal aborts. */
  async *record(
    options: { readonly from?: number; readonly follow?: boolean; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<RecordLine> {
    const query = new URLSearchParams({
      from: String(options.from ?? 0),
      ...(options.follow === true ? { follow: 'true' } : {}),
    })
    const { signal } = options
    const path = `/v1/record?${query.toString()}`
    const response = await this.#callAt(this.#endpoint.url, { method: 'GET', path, signal })
    for await (const line of readLines(response.body as AsyncIterable<Uint8Array>, LINE)) {
      if (line !== '') yield recordLine(line)
    }
  }

  get #trustDomain(): TrustDomain {
    return this.#endpoint.expectedId.trustDomain
  }

  async #json(method: string, path: string, body?: JsonObject): Promise<JsonObject> {
    const response = await this.#route.through(method, (url) => this.#callAt(url, { method, path, body }))
    if (response.status === 204) {
      response.body.resume()
      return {}
    }
    return readJsonBody(response, LIMIT)
  }

  async #callAt(url: string, { method, path, body, signal }: AdminCall): Promise<CallResponse> {
    const { audience, expectedId } = this.#endpoint
    const response = await this.#fetch.call(new URL(path, url), {
      method,
      audience,
      expectedId,
      headers: {
        accept: 'application/json, application/x-ndjson',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
    if (response.status >= 200 && response.status < 300) return response
    throw refusalError(await readRefusal(response), `${method} ${new URL(path, url).href}`)
  }
}

interface AdminCall {
  readonly method: string
  readonly path: string
  readonly body?: JsonObject | undefined
  readonly signal?: AbortSignal | undefined
}

function search(query: Readonly<Record<string, string>>): string {
  return new URLSearchParams(query).toString()
}

function recordLine(line: string): RecordLine {
  const document = parsed(line)
  const { origin, index, kind } = document
  if (typeof origin !== 'string' || typeof index !== 'number' || typeof kind !== 'string')
    throw invalidAnswer('entries with origin, index and kind')
  return { origin, index, kind, document }
}

function parsed(line: string): JsonObject {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  } catch {
    // Told below.
  }
  throw invalidAnswer('one JSON object per line')
}

function grantsIn(answer: JsonObject): readonly JsonObject[] {
  return listOf(answer['grants'], (one) => {
    if (!isJsonObject(one)) throw invalidAnswer('grants as objects')
    return one
  })
}
