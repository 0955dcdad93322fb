/** Pages of assurance are what their manifests say, and manifests claim no more than their proofs hold. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { asvsRows } from '../assurance/asvs.ts'
import { evidence } from '../assurance/evidence.ts'
import { listings, pages } from '../assurance/pages.ts'
import { asked, elements, unanswered } from '../assurance/threat-elements.ts'
import type { ElementId } from '../assurance/threat-elements.ts'
import { proofOf, threatsAt } from '../assurance/threat-page.ts'
import { threatRows } from '../assurance/threats.ts'
import { threats } from '../requirements/threat-model.ts'

const missing = (files: readonly string[]) => files.filter((file) => !existsSync(join(repositoryRoot, file)))

test('pages of assurance are as npm run docs writes them', () => {
  for (const { path, text } of pages()) {
    const committed = existsSync(join(repositoryRoot, path)) ? readFileSync(join(repositoryRoot, path), 'utf8') : ''
    equal(committed === text, true, `${path} differs: npm run docs`)
  }
})

test('every threat of the reference is in the model, and each has a control and a proof', () => {
  const ids = threatRows.map(({ id }) => id)
  equal(new Set(ids).size, ids.length)
  deepEqual(
    ids.filter((id) => id.startsWith('TM-')),
    threats.map((_, i) => `TM-${i + 1}`),
  )
  for (const row of threatRows) {
    deepEqual(missing(row.files), [], row.id)
    const { tests, partial, missing: said } = proofOf(row)
    ok(tests.length > 0 && row.files.length > 0, row.id)
    ok(!partial || said.length > 0, `${row.id} is partial without a reason`)
  }
})

test('every element answers each kind of threat that it can have', () => {
  for (const [id, { kind }] of Object.entries(elements) as [ElementId, (typeof elements)[ElementId]][]) {
    for (const letter of asked[kind]) {
      const said = unanswered[`${id}.${letter}`] !== undefined
      equal(threatsAt(id, letter).length > 0 || said, true, `${id}: ${letter}`)
      ok(!(said && threatsAt(id, letter).length > 0), `${id}: ${letter} is answered twice`)
    }
  }
})

test('rules of identity have tests by their names', () => {
  for (const [id, { met, tests }] of evidence) ok(met !== 'whole' || tests.length > 0, id)
})

test('a row that is full rests on whole proofs; one that is not says what is missing, or why it does not apply', () => {
  const bad: string[] = []
  for (const { heading, rows } of listings.flatMap(({ lists }) => lists)) {
    equal(new Set(rows.map(({ id }) => id)).size, rows.length, heading)
    for (const { id, state, why, controls, evidence: ids } of rows) {
      const unknown = ids.filter((one) => !evidence.has(one))
      if (unknown.length > 0) bad.push(`${id}: no manifest has ${unknown.join()}`)
      for (const file of missing(controls)) bad.push(`${id}: ${file} does not exist`)
      const weak = ids.filter((one) => evidence.get(one)?.met !== 'whole')
      if (state === 'full' && weak.length > 0) bad.push(`${id}: full, and ${weak.join()} is not proven whole`)
      if (state === 'full' && ids.length === 0) bad.push(`${id}: full, and nothing proves it`)
      if (state === 'inspected' && (ids.length > 0 || controls.length === 0))
        bad.push(`${id}: what is inspected names files, and has no proof`)
      if (state === 'partial' && !/Missing: ./.test(why)) bad.push(`${id}: partial, and nothing is missing`)
      if (why.length < 3) bad.push(`${id}: no reason`)
    }
  }
  deepEqual(bad, [])
})

test('the assessment has each requirement of ASVS up to level 2, in order, and no other', (t) => {
  const list = join(repositoryRoot, '../shared/vectors/asvs-5.0.0.flat.json')
  equal(asvsRows.length, 253)
  if (!existsSync(list)) return t.diagnostic('the list is not beside this checkout: not compared')
  const { requirements } = JSON.parse(readFileSync(list, 'utf8')) as {
    readonly requirements: readonly { readonly req_id: string; readonly L: string }[]
  }
  deepEqual(
    asvsRows.map(({ id }) => id),
    requirements.filter(({ L }) => L !== '3').map(({ req_id }) => req_id),
  )
})
