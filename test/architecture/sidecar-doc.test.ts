/** docs/sidecar.md: it names every key of the file, and codes that there are. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { z } from 'zod'
import { isDenialCode } from '@doorward/enforcement'
import { sidecar } from '../../packages/server/src/config/sidecar-schema.ts'

const text = await readFile(new URL('../../docs/sidecar.md', import.meta.url), 'utf8')

/** Names of the keys of a JSON Schema, at any depth. */
function keysOf(schema: unknown): readonly string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const own =
    'properties' in schema && typeof schema.properties === 'object' ? Object.keys(schema.properties ?? {}) : []
  return [...own, ...Object.values(schema).flatMap(keysOf)]
}

test('docs/sidecar.md names every key of sidecar.yaml', () => {
  const keys = new Set(keysOf(z.toJSONSchema(sidecar, { io: 'input', unrepresentable: 'any' })))
  assert.ok(keys.size > 30, [...keys].join(', '))
  // Those of bindings and selectors are explained where they are of doorward.yaml too.
  const elsewhere = new Set([
    'role',
    'workloads',
    'issuer',
    'users',
    'groups',
    'gid',
    'sha256',
    'cgroup',
    'systemd_unit',
  ])
  for (const key of keys) if (!elsewhere.has(key)) assert.match(text, new RegExp(`\\b${key}\\b`), key)
})

test('docs/sidecar.md explains codes that there are', () => {
  const rows = text.slice(text.indexOf('| code | status | when |')).split('\n\n')[0] ?? ''
  const codes = [...rows.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) => cell.match(/[a-z_]{6,}/g) ?? [])
  assert.ok(codes.length > 10)
  for (const code of codes.filter((word) => word !== 'status')) assert.ok(isDenialCode(code), code)
})
