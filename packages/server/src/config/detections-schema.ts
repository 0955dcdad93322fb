/** The `detections` section: from when on what is counted is a finding. Every detector can be switched off, loudly. */

import { z } from 'zod'
import { section } from './section.ts'

const count = (fallback: number) => z.int().min(1).max(60_000).default(fallback)
const seconds = (fallback: number) => z.int().min(1).max(3600).default(fallback)
const percent = (fallback: number) => z.int().min(1).max(100).default(fallback)
const enabled = z.boolean().default(true)

const rate = (most: number) => section({ enabled, count: count(most), seconds: seconds(60) }).prefault({})

const jump = (least: number, most: number) =>
  section({
    enabled,
    /** Below it nothing is a jump. */
    least: count(least),
    /** So many times the own rate of the last hour. */
    times: z.number().min(1.5).max(1000).default(5),
    /** However slowly it has come to that. */
    most: count(most),
    seconds: z.int().min(1).max(600).default(60),
  }).prefault({})

const state = section({ enabled }).prefault({})

export const detections = section({
  authentication_failures: rate(20),
  limit_exhausted: rate(120),
  denied_rate: jump(30, 300),
  denied_rate_all: jump(120, 6000),
  renewal_late: section({ enabled, percent: percent(75) }).prefault({}),
  record_lag: section({ enabled, seconds: seconds(10) }).prefault({}),
  trust_state_stale: section({ enabled, percent: percent(50) }).prefault({}),
  clock_step: section({ enabled, seconds: seconds(5) }).prefault({}),
  upstream_failing: section({
    enabled,
    in_a_row: count(5),
    percent: percent(50),
    /** Of so many calls at least. */
    least: count(10),
    seconds: seconds(10),
  }).prefault({}),
  policy_refused: state,
  witness_refused: state,
  definition_changed: state,
}).prefault({})
