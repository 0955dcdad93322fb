/** An authority is killed at moments of chance, and nothing that anybody was told is lost. */

import { test } from 'node:test'
import { killSample } from '../fixtures/authority/kill-sample.ts'

test('CA-5, OP-6: an authority that is killed again and again loses nothing that anybody was told', async () => {
  await killSample(20_261_122, null)
})
