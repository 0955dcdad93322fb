/** What every store of the authority must do, whatever it is made of. */

import { test } from 'node:test'
import { frontRules } from './authority-store/front.ts'
import { handOutRules } from './authority-store/hand-out.ts'
import { issuanceRules } from './authority-store/issuance.ts'
import { joinRules } from './authority-store/joins.ts'
import { leaseRules } from './authority-store/leases.ts'
import { registrationRules } from './authority-store/registrations.ts'
import { reportRules } from './authority-store/reports.ts'
import { trustRules } from './authority-store/trust.ts'
import type { Rule, StoreUnderTest } from './authority-store/values.ts'

export function authorityStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  const rule: Rule = (sentence, run) =>
    void test(`${name}: ${sentence}`, async () => {
      const opened = await open()
      try {
        await run(opened.store, opened)
      } finally {
        await opened.close()
      }
    })
  for (const rules of [
    registrationRules,
    joinRules,
    issuanceRules,
    handOutRules,
    trustRules,
    leaseRules,
    reportRules,
    frontRules,
  ])
    rules(rule)
}
