/** Calls of a program in Python, one after the other, while certificate and tokens in its files are replaced again and again. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { randomBytes, systemRuntime } from '@doorward/sdk'
import { CredentialFiles } from '../../packages/server/src/apps/credential-files.ts'
import { CredentialFolder } from '../../packages/server/src/apps/credential-folder.ts'
import { generationNames } from '../../packages/server/src/apps/credential-generation.ts'
import { refusalWatch } from '../../packages/server/src/apps/credential-standing.ts'
import { serverAudience } from '../../packages/server/src/config/settings.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { example, isHere, pythonWithRequests, until, yaml } from './agent-stage.ts'

const ROTATIONS = 5
const CALLS_BETWEEN = 15

const loop = `import json, os, sys
import doorward_example as example

session = example.McpSession(example.Caller("credentials", sys.argv[1], "files.token"))
while not os.path.exists("stop"):
    try:
        tools = session.request("tools/list").json()["result"]["tools"]
        line = {"tools": len(tools), "generation": session.caller.generation}
    except Exception as problem:
        line = {"failed": repr(problem)}
    print(json.dumps(line), flush=True)
`

interface Line {
  readonly tools?: number
  readonly generation?: string
  readonly failed?: string
}

let system: TestDeployment

before(async () => {
  system = await TestDeployment.start({ yaml: yaml + wideLimits })
})
after(() => system.remove())

test('OP-3: calls go on through every rotation of certificate and tokens, with not one failure', async (t) => {
  const python = pythonWithRequests()
  if (!isHere(python !== null, 'requests for Python', t)) return
  const audience = serverAudience(await system.deployment(), 'files')
  const identity = await system.identity('agent/planner')
  const tokens = [{ audience, file: 'files.token' }]
  const folder = await CredentialFolder.open({
    path: join(system.folder, 'credentials'),
    names: generationNames(tokens),
    random: randomBytes,
  })
  const problems: unknown[] = []
  const files = new CredentialFiles({
    identity,
    folder,
    tokens,
    watch: refusalWatch(() => identity.credentials.peek()),
    runtime: systemRuntime,
    report: (event) => (event.type === 'written' ? undefined : problems.push(event)),
  })
  await files.update()
  const stopping = new AbortController()
  const running = Promise.all([identity.run(stopping.signal), files.run(stopping.signal)])

  await writeFile(join(system.folder, 'doorward_example.py'), await example('python', system))
  await writeFile(join(system.folder, 'loop.py'), loop)
  const child = spawn(python ?? '', ['loop.py', audience], { cwd: system.folder, env: { ...system.env } })
  const closed = once(child, 'close')
  const lines: Line[] = []
  let stderr = ''
  child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Line))
  const generations = () => new Set(lines.map(({ generation }) => generation))
  const further = (rotation: number) => {
    const goal = lines.length + CALLS_BETWEEN
    const reached = () => lines.length >= goal && generations().size > rotation
    return until(() => reached() || child.exitCode !== null, `calls after ${rotation} rotations: ${stderr}`)
  }
  await further(0)
  for (let rotation = 1; rotation <= ROTATIONS; rotation++) {
    await identity.renew()
    await further(rotation)
  }
  await writeFile(join(system.folder, 'stop'), '')
  await closed
  stopping.abort()
  await running
  folder.release()
  identity.close()

  t.diagnostic(`${lines.length} calls over ${generations().size} generations`)
  assert.deepEqual(
    lines.filter(({ tools }) => tools === undefined || tools === 0),
    [],
    stderr,
  )
  assert.ok(generations().size > ROTATIONS)
  assert.deepEqual(problems, [])
  const refused = (await system.record()).filter(
    ({ entry }) => entry.kind === 'refusals' || (entry.kind === 'decision' && entry.body['decision'] !== 'allow'),
  )
  assert.deepEqual(refused, [])
})
