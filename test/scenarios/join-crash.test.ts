/** An authority killed at every effect of a join, a return and a renewal: who comes again with what it has goes on, and nobody is locked. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isDoorwardError, parseJoinString, parseSpiffeId, toBase64url, toSeconds } from '@doorward/core'
import type { Secret } from '@doorward/core'
import { generateP256, randomBytes, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import type { Evidence } from '../../packages/server/src/authority/attest/attestor.ts'
import { isAuthorityRefusal } from '../../packages/server/src/authority/refusal.ts'
import { sharedGround } from '../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../fixtures/authority/one-store.ts'

let ground: SharedGround
before(async () => {
  ground = await sharedGround()
})
after(() => ground.remove())

interface Issued {
  readonly certificate: Uint8Array
  readonly serial: string
  readonly joinState: Secret | null
}

/** One copy of a workload: it keeps what it was answered, and nothing of an answer that was lost. */
class Copy {
  readonly id: string
  readonly machine: P256KeyPair
  #held: (Issued & { readonly key: P256KeyPair }) | null = null

  private constructor(id: string, machine: P256KeyPair) {
    this.id = id
    this.machine = machine
  }

  static async of(name: string): Promise<Copy> {
    return new Copy(`spiffe://test.example/agent/${name}`, await generateP256())
  }

  get serial(): string {
    return this.#held?.serial ?? ''
  }

  async enrol({ trust }: SharedAuthority, evidence: Evidence | null): Promise<string> {
    const [key, exported] = [await generateP256(), randomBytes(32)]
    const examined = await trust.authority.examineEnrolment({
      evidence,
      id: this.id,
      machineKey: this.machine.jwk,
      machineProof: await this.machine.signKey.sign(exported),
      joinState: this.#held?.joinState ?? null,
      scope: 'callers',
      exported,
      publicKey: key.spki,
    })
    if (isAuthorityRefusal(examined)) return examined.code
    return this.#keep(await trust.authority.completeEnrolment(examined), key)
  }

  async renew({ trust }: SharedAuthority): Promise<string> {
    const held = this.#held
    if (held === null) throw new TypeError('nothing to renew')
    const [key, exported] = [await generateP256(), randomBytes(32)]
    const issued = await trust.authority.renew({
      id: parseSpiffeId(this.id).uri,
      fingerprint: toBase64url(sha256(held.certificate)),
      currentPublicKey: held.key.spki,
      publicKey: key.spki,
      proof: await key.signKey.sign(exported),
      joinState: held.joinState,
      exported,
    })
    return this.#keep(issued, key)
  }

  #keep(answer: Awaited<ReturnType<SharedAuthority['trust']['authority']['renew']>>, key: P256KeyPair): string {
    if (isAuthorityRefusal(answer)) return answer.code
    this.#held = { ...answer, key }
    return 'issued'
  }
}

class Killed extends Error {}

/** Runs the work; from the moment on, every effect fails. */
async function killedAt(
  moment: string | null,
  work: (authority: SharedAuthority) => Promise<unknown>,
): Promise<readonly string[]> {
  const moments: string[] = []
  let [armed, dead] = [false, false]
  const authority = await ground.open('main', {
    at: (reached) => {
      if (armed) moments.push(reached)
      dead ||= armed && reached === moment
      if (dead) throw new Killed(reached)
    },
  })
  armed = true
  await work(authority).catch((error: unknown) => {
    if (!(error instanceof Killed) && !isDoorwardError(error)) throw error
  })
  armed = dead
  authority.close()
  return moments
}

/** With an authority that is not killed. */
async function alive<T>(work: (authority: SharedAuthority) => Promise<T>): Promise<T> {
  const authority = await ground.open('main')
  try {
    return await work(authority)
  } finally {
    authority.close()
  }
}

async function token({ trust }: SharedAuthority, id: string): Promise<Evidence> {
  await trust.authority.ensureRegistration({ id, roles: [] }, 'test')
  const made = await trust.authority.createJoinString(id, 'test')
  if (isAuthorityRefusal(made)) throw new Error(made.explanation)
  const { token: secret } = parseJoinString(made.joinString.reveal())
  return { kind: 'join_token', token: secret! }
}

/** Nobody was locked, no serial is open, and what the copy holds is live and not denied. */
async function sound(copy: Copy): Promise<void> {
  const now = toSeconds(ground.now())
  const { store } = ground
  const instances = await store.instances.list(copy.id)
  assert.deepEqual(
    instances.map(({ locked }) => locked),
    [null],
  )
  const denied = new Set((await store.denials.list(now)).map(({ value }) => value))
  const live = (await store.issuance.live(now, copy.id)).filter(({ serial }) => !denied.has(serial))
  assert.ok(live.some(({ serial }) => serial === copy.serial))
  assert.deepEqual(await store.alarms.list(), [])
}

/** The copy comes back as a client does: with the evidence first, and by its key when that is spent. */
async function comesAgain(copy: Copy, evidence: Evidence | null): Promise<void> {
  await alive(async (authority) => {
    const code = evidence === null ? 'join_refused' : await copy.enrol(authority, evidence)
    if (code === 'join_refused') assert.equal(await copy.enrol(authority, null), 'issued')
    else assert.equal(code, 'issued')
    await sound(copy)
    assert.equal(await copy.renew(authority), 'issued')
    await sound(copy)
  })
}

const operations: Readonly<
  Record<string, (copy: Copy, authority: SharedAuthority, evidence: Evidence) => Promise<string>>
> = {
  join: (copy, authority, evidence) => copy.enrol(authority, evidence),
  return: (copy, authority) => copy.enrol(authority, null),
  renewal: (copy, authority) => copy.renew(authority),
}

for (const [name, operation] of Object.entries(operations)) {
  test(`BS-2: killed at every effect of a ${name}, nothing is lost and nobody is locked`, async () => {
    const prepared = async (label: string) => {
      const copy = await Copy.of(`${name}-${label}`)
      const evidence = await alive(async (authority) => {
        const made = await token(authority, copy.id)
        if (name !== 'join') assert.equal(await copy.enrol(authority, made), 'issued')
        return made
      })
      return { copy, evidence }
    }
    const first = await prepared('whole')
    const moments = await killedAt(null, (authority) => operation(first.copy, authority, first.evidence))
    assert.ok(moments.length >= 12, moments.join())
    // Before one effect is after the one before it.
    const distinct = new Set(moments.filter((moment, i) => i === 0 || moment.startsWith('after ')))
    for (const [i, moment] of [...distinct].entries()) {
      const { copy, evidence } = await prepared(`${i}`)
      await killedAt(moment, (authority) => operation(copy, authority, evidence))
      await comesAgain(copy, name === 'join' ? evidence : null)
    }
  })
}
