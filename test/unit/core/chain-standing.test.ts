/** What is held against a link of a chain: its token, its certificate, its holder, and the keys that signed them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds, heldLinks, linkKeyWithdrawal, linkWithdrawal, chainClaim } from '@doorward/core'
import type { HeldLink, LinkDenials } from '@doorward/core'

const link = (holder: string, n: number): HeldLink => ({
  holder,
  jti: `t${n}`,
  iat: epochSeconds(1000 + n),
  kid: `k${n}`,
  serial: `0${n}`,
  anchor: `x${n}`,
})
const links = [link('b', 2), link('a', 1)]
const nothing: LinkDenials = {
  deniedIdentities: new Map(),
  deniedSerials: new Set(),
  deniedTokens: new Set(),
  deniedAuthorities: new Set(),
  isRegistered: () => true,
}
const against = (change: Partial<LinkDenials>) => linkWithdrawal(links, { ...nothing, ...change }) ?? 'good'
const keysAgainst = (...ids: readonly string[]) =>
  linkKeyWithdrawal(links, { deniedAuthorities: new Set(ids) }) ?? 'good'

test('RV-5: a denial matches every link, to the second, and nothing beside them', () => {
  assert.equal(against({}), 'good')
  for (const [n, holder] of [
    [1, 'a'],
    [2, 'b'],
  ] as const) {
    assert.equal(against({ deniedTokens: new Set([`t${n}`]) }), `token t${n} of ${holder} is denied`)
    assert.equal(against({ deniedSerials: new Set([`0${n}`]) }), `serial 0${n} of ${holder} is denied`)
    assert.match(keysAgainst(`k${n}`), /^token key k/)
    assert.match(keysAgainst(`x${n}`), /^signing authority x/)
    const issued = 1000 + n
    assert.match(
      against({ deniedIdentities: new Map([[holder, issued + 1]]) }),
      new RegExp(`^what ${holder} was given`),
    )
    assert.equal(against({ deniedIdentities: new Map([[holder, issued]]) }), 'good')
    assert.equal(against({ isRegistered: (id) => id !== holder }), `${holder} is not registered any more`)
  }
  const others = {
    deniedTokens: new Set(['t3']),
    deniedSerials: new Set(['03']),
    deniedIdentities: new Map([['c', 9999]]),
  }
  assert.equal(against(others), 'good')
  assert.equal(keysAgainst('k3', 'x3'), 'good')
})

test('each link is held by whoever stands behind the actor that it made', () => {
  const [nearest, first] = links.map(({ holder: _holder, ...rest }) => rest)
  const claims = { sub: 'a', act: { sub: 'c', act: { sub: 'b' } }, [chainClaim]: [nearest!, first!] }
  assert.deepEqual(
    heldLinks(claims).map(({ holder, jti }) => [holder, jti]),
    [
      ['b', 't2'],
      ['a', 't1'],
    ],
  )
  assert.deepEqual(heldLinks({ sub: 'a' }), [])
})
