/** An authority starts although another one denies the key that its own certificate is signed with. */

import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochSeconds, readCertificate, toSeconds } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

const by = { name: 'operator', id: 'spiffe://test.example/doorward/operator/eve', serial: '01' }

let ground: SharedGround
let a: SharedAuthority
before(async () => {
  ground = await sharedGround()
  a = await ground.open('a')
})
after(() => ground.remove())

async function deny(subject: Parameters<typeof a.trust.authority.revocations.revoke>[0]['subject']): Promise<void> {
  const result = await a.trust.authority.revocations.revoke({ subject, reason: 'test', by })
  ok(!('refused' in result), JSON.stringify(result))
}

async function anchorOf(name: string): Promise<string | undefined> {
  const slots = await ground.store.slots.list()
  const active = slots.filter(
    ({ purpose, state, authority }) => purpose === 'anchor' && state === 'active' && authority === name,
  )
  return active.at(-1)?.keyId
}

function keyIdOf(certificate: Uint8Array): string | null {
  const read = readCertificate(certificate, { sha256 })
  ok(!('problem' in read))
  return read.subjectKeyId
}

for (const moment of ['before issuance.intend', 'before issuance.commit', 'before issuance.release'] as const)
  test(`OP-12, CA-2: its key is denied ${moment}, and its successor signs`, async () => {
    const name = `b-${moment.slice(-6)}`
    let denied: string | undefined
    const b = await ground.open(name, {
      at: async (now) => {
        if (now !== moment || denied !== undefined) return
        denied = await anchorOf(`instance-${name}`)
        await deny({ kind: 'authority', keyId: denied ?? '' })
      },
    })
    const now = b.trust.authority.anchorKeyId()
    ok(denied !== undefined && now !== null)
    notEqual(now, denied)
    equal(now, await anchorOf(`instance-${name}`))
    await a.turn()
    const shown = a.trust.authority.trustState().state.anchors.map(({ certificate }) => keyIdOf(certificate))
    ok(shown.includes(now) && !shown.includes(denied))
    deepEqual(b.problems, [])
  })

test('where no other key would help, the start fails at once', async () => {
  const id = 'spiffe://test.example/doorward/authority'
  const starting = ground.open('c', {
    at: async (now) => {
      if (now !== 'before issuance.intend') return
      const issuedBefore = toSeconds(ground.now())
      const lapsesAt = epochSeconds(issuedBefore + 3600)
      await ground.store.registrations.remove(id, {
        kind: 'identity',
        value: id,
        issuedBefore,
        lapsesAt,
        reason: 'test',
      })
    },
  })
  await rejects(starting, { code: 'own_identity', message: /identity_unregistered/ })
})
