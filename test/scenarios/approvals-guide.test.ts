/** docs/approvals.md, walked as it is written: a call that waits, the answer of an operator, and the record of both. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { readGuide } from '../fixtures/guide.ts'

describe('docs/approvals.md', () => {
  let system: TestDeployment
  const said: string[] = []

  before(async () => {
    const { files, commands } = readGuide(await readFile(join(repository, 'docs', 'approvals.md'), 'utf8'))
    const yaml = `${files[0]?.text ?? ''}${wideLimits}`
    system = await TestDeployment.prepare({ yaml, trustDomain: 'acme.example' })
    await mkdir(join(system.folder, 'documents'))
    await chmod(join(system.folder, 'documents'), 0o777)
    await system.up()
    ;(await system.identity('agent/planner', ['writer'])).close()
    let id = ''
    for (const { words, exit, line } of commands) {
      const { code, stdout, stderr } = await system.run(words.slice(1).map((word) => (word === 'REQUEST' ? id : word)))
      equal(code, exit, `${[...said, line].join('\n')}\n${stdout}${stderr}`)
      id = /ap-[0-9a-f]{16}/.exec(stdout + stderr)?.[0] ?? id
      said.push(stdout + stderr)
    }
  })
  after(() => system.remove())

  test('explain says who would be asked, and the call is answered with what to do', () => {
    match(said[0] ?? '', /allow \(approval\)[^]*needs an approval of team-a: approval:tools\/call:files\/write_file/)
    match(said[1] ?? '', /approval_pending[^]*doorward approvals approve ap-[0-9a-f]{16}; then call again/)
  })

  test('who approves sees who calls, what, and with which arguments', () => {
    match(said[2] ?? '', /spiffe:\/\/acme\.example\/agent\/planner +tools\/call files\/write_file/)
    match(said[3] ?? '', /"path": "plan\.md"[^]*digest [0-9a-f]{64}/)
  })

  test('the file has what was approved, once', async () => {
    equal(await readFile(join(system.folder, 'documents', 'plan.md'), 'utf8'), 'hello')
    const entries = (await system.record()).filter(({ entry }) => entry.kind === 'approval')
    deepEqual(
      entries.map(({ entry }) => entry.body['event']),
      ['requested', 'approved', 'requested', 'requested', 'denied'],
    )
    equal(entries[1]?.entry.body['reason'], 'as agreed')
    ok(String(entries[1]?.entry.body['by']).startsWith('spiffe://acme.example/operator/'))
    match(said.at(-1) ?? '', /requested[^]*approved|approved[^]*requested/)
  })

  test('an answer is to what was shown, and to one request or one group of them', async () => {
    const [id = ''] = /ap-[0-9a-f]{16}/.exec(said[6] ?? '') ?? []
    const wrong = await system.run(['approvals', 'approve', id, '--yes', '--digest', '0'.repeat(64), '--json'])
    deepEqual([wrong.code, /"code":"(\w+)"/.exec(wrong.stdout)?.[1]], [1, 'approval_changed'])
    const { code, stdout } = await system.run(['approvals', 'list'])
    equal(code, 0, stdout)
    const both = await system.run(['approvals', 'approve', id, '--group', 'x', '--yes'])
    equal(both.code, 1)
    const own = await system.run(['approvals', 'approve', id, '--yes', '--as', 'agent/planner', '--json'])
    deepEqual([own.code, /"code":"(\w+)"/.exec(own.stdout)?.[1]], [1, 'approver_refused'])
    match(own.stdout, /"next":"an operator names approvers/)
  })
})
