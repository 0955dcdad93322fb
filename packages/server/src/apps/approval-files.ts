/** Requests for approvals in the gateway's state: sealed one by one, so that neither is put in the place of another. */

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, epochMillis, isActionGroup, isJsonObject, isResourceKind, scanJson, utf8 } from '@doorward/core'
import type { ApprovalDuty, JsonObject, JsonValue } from '@doorward/core'
import type { ApprovalRequest, ApprovalStore, GivenApproval } from '@doorward/enforcement'
import type { Sealer } from '@doorward/sdk'
import { isMissing, makePrivateFolder, readIfPresent, syncFolder, writeDurably } from '../secrets/durable-file.ts'

const FOLDER = 'approvals'
const SUFFIX = '.sealed'
const ID = /^ap-[0-9a-f]{16}$/
const MAX_BYTES = 64 * 1024
const limits = { maxBytes: MAX_BYTES, maxDepth: 48, maxKeys: 20_000, prototypeKeys: 'keep' } as const

export interface ApprovalFiles extends ApprovalStore {
  /** What waited when the gateway stopped; `lost` are ids of what cannot be read any more, and is gone. */
  readAll(): Promise<{ readonly requests: readonly ApprovalRequest[]; readonly lost: readonly string[] }>
}

export function approvalFiles(stateDir: string, sealer: Sealer): ApprovalFiles {
  const folder = join(stateDir, FOLDER)
  const pathOf = (id: string) => join(folder, `${id}${SUFFIX}`)
  const remove = async (id: string) => {
    await rm(pathOf(id), { force: true })
    await syncFolder(folder).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })
  }
  return {
    remove,
    async write(request) {
      const bytes = utf8(JSON.stringify({ v: 1, request }))
      if (bytes.length > MAX_BYTES)
        throw new DoorwardError('approval_too_large', 'a request for an approval is too large to be kept', {
          expected: `at most ${MAX_BYTES} bytes`,
          got: String(bytes.length),
        })
      await makePrivateFolder(folder)
      await writeDurably(pathOf(request.id), await sealer.seal(bytes, purposeOf(request.id)))
    },
    async readAll() {
      const requests: ApprovalRequest[] = []
      const lost: string[] = []
      for (const id of await idsIn(folder)) {
        const request = await readOne(pathOf(id), id, sealer)
        if (request !== null) requests.push(request)
        else {
          lost.push(id)
          await remove(id)
        }
      }
      return { requests: requests.toSorted((a, b) => a.created - b.created), lost }
    },
  }
}

function purposeOf(id: string): string {
  return `gateway/approvals/${id}`
}

async function idsIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
  return names
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .filter((id) => ID.test(id))
}

async function readOne(path: string, id: string, sealer: Sealer): Promise<ApprovalRequest | null> {
  try {
    const sealed = await readIfPresent(path, MAX_BYTES + 64)
    if (sealed === null) return null
    const scan = scanJson(await sealer.open(sealed, purposeOf(id)), limits)
    const request = scan.ok && isJsonObject(scan.value) && scan.value['v'] === 1 ? scan.value['request'] : undefined
    const read = isJsonObject(request) ? requestOf(request) : null
    return read?.id === id ? read : null
  } catch {
    return null
  }
}

function requestOf(one: JsonObject): ApprovalRequest | null {
  const { id, key, digest, caller, parties, action, resource, shown, duties, policy } = one
  const { state, created, expires, given } = one
  if (typeof id !== 'string' || typeof key !== 'string' || typeof digest !== 'string') return null
  if (!isJsonObject(caller) || !isJsonObject(action) || !isJsonObject(resource) || !isJsonObject(policy)) return null
  if (state !== 'pending' && state !== 'approved' && state !== 'denied') return null
  if (typeof created !== 'number' || typeof expires !== 'number' || shown === undefined) return null
  const { server, kind, name } = resource
  const { name: method, group } = action
  if (typeof server !== 'string' || !isResourceKind(kind) || typeof name !== 'string') return null
  if (typeof method !== 'string' || !isActionGroup(group)) return null
  const { digest: policyDigest, sequence } = policy
  if (typeof policyDigest !== 'string' || typeof sequence !== 'number') return null
  return {
    id,
    key,
    digest,
    caller,
    parties: textsIn(parties),
    action: { name: method, group },
    resource: { server, kind, name },
    shown,
    duties: listOf(duties).flatMap(dutyOf),
    policy: { digest: policyDigest, sequence },
    state,
    created: epochMillis(created),
    expires: epochMillis(expires),
    given: listOf(given).flatMap(givenOf),
    links: listOf(one['links']).flatMap(linkOf),
  }
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

function textsIn(value: JsonValue | undefined): readonly string[] {
  return listOf(value).filter((one) => typeof one === 'string')
}

function dutyOf(one: JsonValue): readonly ApprovalDuty[] {
  if (!isJsonObject(one) || typeof one['by'] !== 'string') return []
  return [{ kind: 'approval', by: one['by'], rules: textsIn(one['rules']) }]
}

function linkOf(one: JsonValue): ApprovalRequest['links'] {
  if (!isJsonObject(one)) return []
  const { group, hash } = one
  return typeof group === 'string' && typeof hash === 'string' ? [{ group, hash }] : []
}

function givenOf(one: JsonValue): readonly GivenApproval[] {
  if (!isJsonObject(one)) return []
  const { group, by, at } = one
  if (typeof group !== 'string' || (typeof by !== 'string' && by !== null) || typeof at !== 'number') return []
  return [{ group, by, at: epochMillis(at) }]
}
