import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isDoorwardError, matchesName, parsePermission, permissionFor, readNamePattern } from '@doorward/core'
import type { NamePattern } from '@doorward/core'

function pattern(text: string): NamePattern {
  const read = readNamePattern(text)
  assert(!('problem' in read))
  return read
}

test('a permission is a group or an action, optionally narrowed to names of one server', () => {
  assert.deepEqual(parsePermission('*').verb, { kind: 'any' })
  assert.deepEqual(parsePermission('read').verb, { kind: 'group', group: 'read' })
  assert.deepEqual(parsePermission('tools/call:github/get_*'), {
    text: 'tools/call:github/get_*',
    verb: { kind: 'action', action: 'tools/call' },
    scope: { server: 'github', name: { text: 'get_*', parts: ['get_', ''] } },
  })
  assert.equal(parsePermission('GET:orders/v1/*').scope?.name.text, 'v1/*')
  assert.equal(parsePermission('resources/read:files/file:///srv/*').scope?.name.text, 'file:///srv/*')
})

test('everything else is refused with its place', () => {
  const wrong = [
    '',
    'reads',
    'READ',
    'get',
    'session',
    'tools/*',
    'constructor',
    '__proto__',
    ' read',
    'read ',
    'read:',
    'read:files',
    'read:/x',
    'read:files/',
  ]
  const worse = [
    'read:*/x',
    'read:fi les/x',
    'read:files/a\nb',
    'read:files/a\u0000',
    'read:files/a\u2028b',
    'read:files/x ',
    'read:files/\ud800',
    `read:files/${'x'.repeat(2000)}`,
  ]
  for (const text of [...wrong, ...worse]) {
    assert.throws(
      () => parsePermission(text, 'roles.r[0]'),
      (error) =>
        isDoorwardError(error, 'permission_invalid') &&
        error.where === 'roles.r[0]' &&
        error.expected !== undefined &&
        error.got !== undefined,
      JSON.stringify(text),
    )
  }
})

test('a star stands for any characters and everything else for itself', () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['*', '', true],
    ['get_*', 'get_', true],
    ['get_*', 'forget_x', false],
    ['*_file', 'read_file', true],
    ['*_file', 'read_files', false],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'axxbxxc', true],
    ['a*b*c', 'acb', false],
    ['ab*ba', 'aba', false],
    ['a**b', 'ab', true],
    ['k*', '\u212aelvin', false],
    ['a.c', 'abc', false],
  ]
  for (const [text, name, expected] of table)
    assert.equal(matchesName(pattern(text), name), expected, `${text} ${name}`)
})

test('matching agrees with the plain definition', () => {
  const plain = (want: string, have: string): boolean =>
    want === ''
      ? have === ''
      : want[0] === '*'
        ? plain(want.slice(1), have) || (have !== '' && plain(want, have.slice(1)))
        : want[0] === have[0] && plain(want.slice(1), have.slice(1))
  const word = (letters: readonly string[]): fc.Arbitrary<string> =>
    fc.string({ unit: fc.constantFrom(...letters), minLength: 1, maxLength: 9 })
  fc.assert(
    fc.property(
      word(['a', 'b', '*']),
      word(['a', 'b']),
      (want, have) => matchesName(pattern(want), have) === plain(want, have),
    ),
    { seed: 11, numRuns: 2000 },
  )
})

test('many stars cost no more than the length of the name', () => {
  assert.equal(matchesName(pattern('a*'.repeat(500)), `${'a'.repeat(400_000)}b`), true)
  assert.equal(matchesName(pattern(`${'a*'.repeat(500)}c`), 'a'.repeat(400_000)), false)
})

test('a denial proposes exactly what was asked, or nothing', () => {
  const call = { name: 'tools/call', group: 'write' } as const
  assert.equal(
    permissionFor(call, { server: 'files', kind: 'tool', name: 'write_file' }),
    'tools/call:files/write_file',
  )
  assert.equal(
    permissionFor({ name: 'GET', group: 'read' }, { server: 'orders', kind: 'route', name: '/v1/7' }),
    'GET:orders/v1/7',
  )
  assert.equal(
    permissionFor({ name: 'tools/list', group: 'session' }, { server: 'files', kind: 'server', name: '' }),
    'tools/list:files/*',
  )
  for (const name of ['*', 'a*', 'a\nb', ' a', '\ud800', 'x'.repeat(5000)]) {
    assert.equal(permissionFor(call, { server: 'files', kind: 'tool', name }), null, JSON.stringify(name))
  }
  assert.equal(
    permissionFor({ name: 'tools/destroy', group: 'write' }, { server: 'files', kind: 'tool', name: 'x' }),
    null,
  )
})

test('what is proposed parses and names the resource', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
      const text = permissionFor({ name: 'tools/call', group: 'write' }, { server: 'files', kind: 'tool', name })
      if (text === null) return
      const { scope } = parsePermission(text)
      assert(scope !== null && matchesName(scope.name, name))
      assert.equal(scope.name.parts.length, 1)
    }),
    { seed: 12, numRuns: 500 },
  )
})
