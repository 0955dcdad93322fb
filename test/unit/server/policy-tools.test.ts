/** What the commands about a policy are made of: checks with places, questions, expectations, and lists. */

import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { DecisionRequest } from '@doorward/core'
import {
  behalfOf,
  checkFiles,
  formatPolicies,
  openPolicy,
  permittedBy,
  requestOf,
  testPolicy,
} from '../../../packages/server/src/apps/policy-tools.ts'
import type { Checked, OpenPolicy, Question, Remark } from '../../../packages/server/src/apps/policy-tools.ts'
import { defaultTime, momentOf, parseExpectations } from '../../../packages/server/src/config/expectation-file.ts'
import { loadConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import type { Deployment } from '../../../packages/server/src/config/settings.ts'
import { policyExample } from '../../fixtures/policy-example.ts'

const noon = momentOf(defaultTime) ?? 0

function question(over: Partial<Question> = {}): Question {
  return {
    presenter: 'agent/planner',
    roles: [],
    behalf: null,
    through: [],
    action: 'tools/call',
    resource: 'github/get_issue',
    effect: null,
    kind: null,
    args: {},
    timeSeconds: noon,
    address: '127.0.0.1',
    ...over,
  }
}

describe('the policy of a deployment', () => {
  let folder: string
  let deployment: Deployment
  let open: OpenPolicy
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doorward-policy-tools-'))
    await mkdir(join(folder, 'policies'))
    await write('doorward.yaml', `trust_domain: test.example\n${policyExample.yaml}`)
    await write('tools.json', policyExample.tools)
    await write('policies/own.cedar', policyExample.own)
    deployment = deploymentOf(await loadConfiguration(join(folder, 'doorward.yaml')))
    open = await openPolicy(deployment)
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }

  describe('checked', () => {
    const candidate = async (text: string): Promise<Checked> =>
      checkFiles(deployment, { more: [], candidate: await write('candidate.cedar', text) })
    const codes = ({ remarks }: Checked, level: Remark['level']) =>
      remarks.filter((one) => one.level === level).map(({ code }) => code)

    test('names that mean nothing are problems, with place, source line and what was meant', async () => {
      const path = await write('new.cedar', '\npermit (principal, action,\n  resource == Tool::"githbu/get_file");\n')
      const { remarks, policies } = await checkFiles(deployment, { more: [path, path], candidate: null })
      // Such a policy is not taken up.
      deepEqual(
        remarks.filter(({ level }) => level === 'problem').map(({ code, line, help }) => [code, line, help]),
        [
          [
            'policy_server_unknown',
            { number: 3, column: 15, text: '  resource == Tool::"githbu/get_file");' },
            'did you mean Tool::"github/get_file"?',
          ],
        ],
      )
      equal(policies, null)
    })

    test('a misspelt argument is a problem where it stands', async () => {
      const checked = await candidate(
        'permit (principal, action == Action::"tools/call", resource == Tool::"github/get_file")\nwhen { context.args.pth == "a" };\n',
      )
      deepEqual(codes(checked, 'problem'), ['policy_type'])
      const [{ line, help } = {} as Remark] = checked.remarks
      deepEqual([line?.number, line?.column], [2, 8])
      equal(help, 'did you mean `path`?')
      equal(checked.policies, null)
    })

    test('names of actions, attributes and types are guessed; what goes with a policy is not told again', async () => {
      const { remarks } = await candidate(
        [
          'permit (principal, action == Action::"tools/cal", resource == Tool::"github/get_file");',
          'permit (principal, action == Action::"tools/call", resource == Tul::"github/get_file");',
          'permit (principal, action == Action::"tools/call", resource is Tool in Server::"github") when { context.tim.hour == 1 };',
        ].join('\n'),
      )
      const byLine = remarks.toSorted((a, b) => (a.line?.number ?? 0) - (b.line?.number ?? 0))
      deepEqual(
        byLine.map(({ level, line, help }) => [level, line?.number, help]),
        [
          ['problem', 1, 'did you mean Action::"tools/call"?'],
          ['problem', 2, 'did you mean `Tool`?'],
          ['problem', 3, 'did you mean `time`?'],
        ],
      )
    })

    test('a mistake of syntax is told where it stands', async () => {
      const { remarks } = await candidate('permit (principal, action, resource;\n')
      deepEqual([remarks[0]?.code, remarks[0]?.line?.number, remarks[0]?.line?.column], ['policy_syntax', 1, 36])
    })

    test('a permit that would open our own API without naming it is refused', async () => {
      deepEqual(codes(await candidate('permit (principal, action in Action::"read", resource);'), 'problem'), [
        'policy_own_api',
      ])
    })

    test('rules without effect are warnings, wide ones notes with what they cover', async () => {
      const { remarks } = await candidate(
        'permit (principal in Role::"reader", action in Action::"read", resource is Tool);\npermit (principal in Role::"reader", action == Action::"tools/call", resource == Tool::"github/delete_repo");\n',
      )
      const of = (line: number) =>
        remarks
          .filter((one) => one.line?.number === line)
          .map(({ level, code, related }) => [level, code, related.map((one) => one.replace(folder, ''))])
      deepEqual(of(1), [
        ['note', 'policy_every_server', ['github', 'files']],
        ['note', 'policy_unknown_tools', ['files']],
        ['note', 'policy_admin_tools', ['github/delete_repo']],
      ])
      deepEqual(of(2)[0], ['warning', 'policy_shadowed', ['/candidate.cedar:1']])
    })

    test('a file that the configuration names is not judged twice, and what is no text is refused', async () => {
      const { remarks, policies } = await checkFiles(deployment, {
        more: [join(folder, 'policies/own.cedar')],
        candidate: null,
      })
      deepEqual([policies, remarks.filter(({ level }) => level === 'problem')], [open.policies.length, []])
      await writeFile(join(folder, 'bytes.cedar'), Buffer.from([0xff, 0xfe, 0]))
      await rejects(checkFiles(deployment, { more: [join(folder, 'bytes.cedar')], candidate: null }), {
        code: 'file_unreadable',
      })
      await rejects(checkFiles(deployment, { more: [join(folder, 'nowhere')], candidate: null }), {
        code: 'file_unreadable',
      })
    })

    test('thousands of brackets are refused in bounded time', async () => {
      const text = `permit (principal, action, resource) when { ${'('.repeat(5000)}true${')'.repeat(5000)} };`
      const problems = await candidate(text).then(
        (checked) => codes(checked, 'problem'),
        (error: { code: string }) => [error.code],
      )
      equal(problems.length, 1)
    })
  })

  describe('asked', () => {
    const asked = (over: Partial<Question>): DecisionRequest => requestOf(question(over), open.known)
    const brief = ({ action: { group }, resource: { kind, server, name } }: DecisionRequest) => [
      group,
      kind,
      server,
      name,
    ]

    test('what the gateway would make of it', () => {
      const cases: readonly (readonly [Partial<Question>, readonly string[]])[] = [
        [{}, ['read', 'tool', 'github', 'get_issue']],
        [{ resource: 'github/delete_repo' }, ['admin', 'tool', 'github', 'delete_repo']],
        [{ resource: 'files/other' }, ['write', 'tool', 'files', 'other']],
        [{ effect: 'admin' }, ['admin', 'tool', 'github', 'get_issue']],
        [{ action: 'tools/list', resource: 'github' }, ['session', 'server', 'github', '']],
        [{ action: 'prompts/get', resource: 'github/p' }, ['read', 'prompt', 'github', 'p']],
        [{ action: 'resources/read', resource: 'files/file:///a' }, ['read', 'resource', 'files', 'file:///a']],
        [{ action: 'completion/complete', resource: 'files/file:///a' }, ['read', 'resource', 'files', 'file:///a']],
        [{ action: 'completion/complete', resource: 'files/p' }, ['read', 'prompt', 'files', 'p']],
        [{ action: 'GET', resource: 'files/v1/x' }, ['read', 'route', 'files', '/v1/x']],
        [{ action: 'GET', resource: 'files' }, ['session', 'server', 'files', '']],
        [{ action: 'POST', resource: 'authority/v1/token' }, ['write', 'route', 'authority', '/v1/token']],
        [{ action: 'GET', resource: 'authority/v1/nowhere' }, ['admin', 'route', 'authority', '/v1/nowhere']],
      ]
      for (const [over, wanted] of cases) deepEqual(brief(asked(over)), wanted)
    })

    test('for whom, and through whom', () => {
      const { principal } = asked({ behalf: behalfOf('https://id.example/#a#mary', ['staff']), through: ['agent/b'] })
      deepEqual(principal.subject, {
        kind: 'user',
        issuer: 'https://id.example/#a',
        subject: 'mary',
        groups: ['staff'],
      })
      deepEqual(
        principal.act.map(({ uri }) => uri),
        ['spiffe://test.example/agent/b'],
      )
      equal(behalfOf('agent/b', []), 'agent/b')
    })

    test('no question is made of other words', () => {
      throws(() => asked({ action: 'tools/cal' }), { code: 'action_unknown', expected: 'tools/call' })
      throws(() => asked({ resource: 'github' }), { code: 'resource_invalid' })
      throws(() => asked({ resource: '/x' }), { code: 'resource_invalid' })
      throws(() => asked({ presenter: 'spiffe://x y' }), { code: 'spiffe_id_invalid' })
      throws(() => asked({ through: ['a b'] }), { code: /spiffe/ })
    })
  })

  describe('held against expectations', () => {
    test('what is met and what is not, and what no expectation was decided by', async () => {
      const path = await write('expectations.yaml', policyExample.expectations)
      const { outcomes, coverage } = await testPolicy(open, [path])
      deepEqual(
        outcomes.map(({ met, got, reason }) => [met, got, reason]),
        [
          [true, 'allow', null],
          [true, 'deny', 'none'],
          [true, 'deny', 'forbid'],
          [true, 'deny', 'error'],
        ],
      )
      const idle = coverage.policies.filter(({ determined }) => determined === 0).map(({ id }) => id)
      ok(idle.includes('role:writer/0') && !idle.includes('policies/own.cedar#docs'), idle.join())
      const other = await write(
        'other.yaml',
        policyExample.expectations.replace('reason: forbid', 'reason: none').replace('role:reader/0', 'role:writer/0'),
      )
      const second = await testPolicy(open, [other])
      deepEqual(
        second.outcomes.map(({ met }) => met),
        [false, true, false, true],
      )
    })

    test('a question that cannot be asked is told with its place', async () => {
      const path = await write('wrong.yaml', policyExample.expectations.replace('tools/call', 'tools/cal'))
      await rejects(testPolicy(open, [path]), { code: 'action_unknown', where: `${path}:2` })
    })
  })

  describe('listed', () => {
    const answers = (over: { timeSeconds?: number; address?: string; roles?: readonly string[] } = {}) => {
      const { roles = ['writer'], timeSeconds = null, address = null } = over
      const { items } = permittedBy(open, { presenter: 'agent/planner', roles, behalf: null, timeSeconds, address })
      return new Map<string, string>(
        items.flatMap(({ item, actions, group, verdict, dependsOn }) =>
          actions.map((action) => [`${action} ${item} ${group}`, [verdict, ...dependsOn].join(' ')] as const),
        ),
      )
    }
    const asked = [
      'tools/call github/get_issue read',
      'tools/call github/get_file read',
      'tools/call github/delete_repo admin',
      'tools/call files/* read',
      'tools/call files/* write',
      'POST authority/v1/token write',
      'GET authority/v1/workloads admin',
    ]

    test('tools that are known one by one, other items by server, and our own API', () => {
      const found = answers()
      deepEqual(
        asked.map((item) => found.get(item)),
        ['allow', 'depends args.path', 'deny', 'depends time', 'deny', 'allow', 'deny'],
      )
    })
    test('at a certain time it depends on no time', () => {
      equal(answers({ timeSeconds: noon }).get('tools/call files/* read'), 'allow')
      equal(answers({ timeSeconds: noon + 9 * 3600 }).get('tools/call files/* read'), 'deny')
    })
    test('other roles, other answers', () => {
      const found = answers({ roles: ['admin'] })
      deepEqual(
        asked.map((item) => found.get(item)),
        ['allow', 'allow', 'allow', 'depends time', 'depends time', 'allow', 'allow'],
      )
    })
    test('of a user, whoever calls for her', () => {
      const asked = { presenter: null, roles: [], timeSeconds: noon, address: null }
      const mary = behalfOf('https://id.example#mary', ['staff'])
      const { principal, roles, items } = permittedBy(open, { ...asked, behalf: mary })
      deepEqual([principal, roles], ['https://id.example#mary', ['reader']])
      const one = items.find(({ item }) => item === 'github/get_issue')
      deepEqual([one?.verdict, one?.permits], ['allow', ['role:reader/0']])
      equal(items.find(({ item }) => item === 'github/delete_repo')?.verdict, 'deny')
      throws(() => permittedBy(open, { ...asked, presenter: 'https://id.example#mary', behalf: null }), {
        code: 'principal_invalid',
      })
    })
    test('what is listed with certainty is what is decided', () => {
      const { items } = permittedBy(open, {
        presenter: 'agent/planner',
        roles: ['writer'],
        behalf: null,
        timeSeconds: noon,
        address: '10.0.0.1',
      })
      const certain = items.filter(({ known, verdict, item }) => known && verdict !== 'depends' && item.includes('/'))
      ok(certain.length > 20)
      for (const { item, actions, group, verdict } of certain) {
        for (const action of actions) {
          const request = requestOf(
            question({ action, resource: item, effect: group, roles: ['writer'], address: '10.0.0.1' }),
            open.known,
          )
          equal(open.explainer.judge.decide(request).effect, verdict, `${action} ${item}`)
        }
      }
    })
  })

  test('Cedar is laid out by the official formatter; what it cannot read stays', async () => {
    deepEqual(await formatPolicies(['permit(principal,action,resource);', 'no policy']), [
      'permit (principal, action, resource);',
      'no policy',
    ])
  })
})

describe('a file of expectations', () => {
  const problems = (text: string): readonly (readonly [number | null, string])[] => {
    try {
      parseExpectations(text, 'e.yaml')
      return []
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error
      return error.problems.map(({ line, path }) => [line, path])
    }
  }
  const one = (rest: string) => `expectations:\n  - action: tools/call\n    resource: a/b\n    expect: deny\n${rest}`

  test('every mistake is told with its line', () => {
    deepEqual(problems(one('    principal: a\n    expekt: allow\n')), [[6, 'expectations[0].expekt']])
    deepEqual(problems(one('    principal: { issuer: i, user: u }\n')), [[5, 'expectations[0].principal']])
    deepEqual(problems(one('    principal: a\n    presenter: b\n')), [[6, 'expectations[0].presenter']])
    deepEqual(problems(one('    principal: { issuer: i, user: u }\n    presenter: a\n    for: b\n')), [
      [7, 'expectations[0].for'],
    ])
    deepEqual(problems(one('    principal: a\n    time: tomorrow\n    effect: all\n    kind: thing\n')), [
      [7, 'expectations[0].effect'],
      [8, 'expectations[0].kind'],
      [6, 'expectations[0].time'],
    ])
    deepEqual(
      problems(
        'expectations:\n  - principal: a\n    action: x\n    resource: y\n    expect: allow\n    reason: none\n',
      ),
      [[6, 'expectations[0].reason']],
    )
    deepEqual(problems('expectations: []\n'), [[1, 'expectations']])
    deepEqual(problems('- principal: a\n').length, 1)
    deepEqual(problems('expectations: &a [*a]\n').length > 0, true)
    deepEqual(problems('{').length > 0, true)
    deepEqual(problems(one('    principal: a\n    principal: b\n')).length, 1)
  })

  test('what is not written has a meaning that does not change', () => {
    const [first] = parseExpectations(one('    principal: a\n'), 'e.yaml')
    deepEqual(
      [first?.timeSeconds, first?.address, first?.args, first?.roles, first?.reason, first?.by, first?.line],
      [1_767_268_800, '127.0.0.1', {}, [], null, null, 2],
    )
  })

  test('times have a zone', () => {
    equal(momentOf('2026-01-01T13:00:00+01:00'), noon)
    for (const text of ['2026-01-01', '2026-01-01T12:00:00', 'noon', '2026-13-01T12:00:00Z'])
      equal(momentOf(text), null)
  })
})
