/** A running gateway that sends links: its approvers hear of a request, and the form behind the link lets the call pass. */

import { equal, match } from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'

let system: TestDeployment
let receiver: Server
let notice = Promise.withResolvers<{ readonly link: string; readonly id: string }>()

const call = () => system.run(['call', 'files', 'write_file', 'path=plan.md', 'content=hello', '--as', 'agent/planner'])

before(async () => {
  receiver = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      notice.resolve(JSON.parse(Buffer.concat(parts).toString()) as { link: string; id: string })
      response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const { port } = receiver.address() as AddressInfo
  const yaml = `servers:
  files: { command: [mcp-server-filesystem, documents], effects: { read: [read_*] } }
roles: { writer: ["write:files/*"] }
approvals:
  wait_seconds: 0
  groups: { team-a: { webhook: { url: "http://127.0.0.1:${port}/", secret_file: hook.secret, insecure: true } } }
  rules: [{ permission: "tools/call:files/write_file", by: team-a }]
  links: true
  public_url: https://PUBLIC
${wideLimits}`
  system = await TestDeployment.prepare({ yaml })
  const text = await readFile(system.configFile, 'utf8')
  const [, open = ''] = /^listeners:[^]*?public: "?(127\.0\.0\.1:\d+)/m.exec(text) ?? []
  await writeFile(system.configFile, text.replace('https://PUBLIC', `https://${open}`))
  await writeFile(join(system.folder, 'hook.secret'), 'a secret of both', { mode: 0o600 })
  await mkdir(join(system.folder, 'documents'))
  await chmod(join(system.folder, 'documents'), 0o777)
  await system.up()
  ;(await system.identity('agent/planner', ['writer'])).close()
})
after(async () => {
  receiver.close()
  await system.remove()
})

async function http(method: string, link: string, body = '') {
  const { host, hostname, port, pathname, origin } = new URL(link)
  const socket = await dial({ host: hostname, port: Number(port), rejectUnauthorized: false })
  const form = `Origin: ${origin}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n`
  const head = `${method} ${pathname} HTTP/1.1\r\nHost: ${host}\r\n${method === 'POST' ? form : ''}\r\n${body}`
  try {
    return parseAnswer(await talk(socket, head, complete))
  } finally {
    socket.destroy()
  }
}

test('a call passes once the form behind the link has been sent, and not when the link is fetched', async () => {
  equal((await call()).code, 1)
  const { link, id } = await notice.promise
  match((await http('GET', link)).body, /plan\.md/)
  equal((await call()).code, 1)
  const body = new URLSearchParams({ token: link.split('/').at(-1) ?? '', decision: 'approve' }).toString()
  const answer = await http('POST', link, body)
  equal(answer.status, 200, answer.text)
  const done = await call()
  equal(done.code, 0, done.stderr)
  equal(await readFile(join(system.folder, 'documents', 'plan.md'), 'utf8'), 'hello')
  equal((await http('POST', link, body)).status, 404)
  notice = Promise.withResolvers()
  equal((await call()).code, 1)
  const again = await notice.promise
  equal(again.id === id, false)
  // Nobody has a certificate for the admin API here: the link is all there is.
  equal((await system.run(['approvals', 'approve', again.id, '--yes'])).code, 1)
})
