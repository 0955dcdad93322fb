import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { withoutComments } from '../../../packages/server/src/config/jsonc.ts'
import { hostNamed, hosts } from '../../../packages/server/src/cli/hosts/host-table.ts'
import { install, prepareInstallation } from '../../../packages/server/src/cli/hosts/install.ts'
import { setEntry } from '../../../packages/server/src/cli/hosts/json-edit.ts'
import { lineDiff } from '../../../packages/server/src/cli/hosts/line-diff.ts'

const launch = { command: '/opt/node/bin/node', args: ['/opt/doorward/bin/doorward.cjs', 'connect', 'files'] }
const entry = { member: 'mcpServers', name: 'files', value: { command: launch.command, args: launch.args } }
const now = new Date('2026-11-03T10:20:30.456Z')
let root: string
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'doorward-hosts-'))
})
after(() => rm(root, { recursive: true, force: true }))

const environment = {
  home: '/home/ann',
  keyHome: '/home/ann/.config/doorward',
  appData: 'C:\\Users\\ann\\AppData\\Roaming',
}
const places: readonly (readonly [string, NodeJS.Platform, string])[] = [
  ['claude-code', 'linux', '/home/ann/.claude.json'],
  ['claude-desktop', 'linux', '/home/ann/.config/Claude/claude_desktop_config.json'],
  ['claude-desktop', 'darwin', '/home/ann/Library/Application Support/Claude/claude_desktop_config.json'],
  ['claude-desktop', 'win32', 'C:\\Users\\ann\\AppData\\Roaming\\Claude\\claude_desktop_config.json'],
  ['cursor', 'linux', '/home/ann/.cursor/mcp.json'],
  ['vscode', 'linux', '/home/ann/.config/Code/User/mcp.json'],
  ['vscode', 'darwin', '/home/ann/Library/Application Support/Code/User/mcp.json'],
  ['vscode', 'win32', 'C:\\Users\\ann\\AppData\\Roaming\\Code\\User\\mcp.json'],
]
for (const [name, platform, file] of places) {
  test(`${name} on ${platform} reads ${file}`, () => {
    assert.equal(hostNamed(name).file({ platform, environment }), file)
  })
}

test('every host gets absolute command and arguments', () => {
  for (const host of hosts) assert.deepEqual(host.entry(launch)['args'], launch.args, host.name)
  assert.equal(hostNamed('vscode').entry(launch)['type'], 'stdio')
  assert.equal(hostNamed('vscode').member, 'servers')
})

test('an unknown host is refused by name', () => {
  assert.throws(() => hostNamed('emacs'), { code: 'host_unknown' })
})

test('an entry is added and everything else stays as it was, comments and indentation too', () => {
  const text =
    '{\n    // my servers\n    "mcpServers": {\n        "other": { "command": "x" } // keep\n    },\n    "theme": "dark",\n}\n'
  const after = setEntry(text, entry)
  assert.match(after, /\/\/ my servers/)
  assert.match(after, /\/\/ keep/)
  assert.match(after, /"theme": "dark",\n\}\n$/)
  assert.match(after, /\n {8}"files": \{\n {12}"command"/)
  const parsed = JSON.parse(withoutComments(after)) as { mcpServers: Record<string, unknown> }
  assert.deepEqual(Object.keys(parsed.mcpServers), ['other', 'files'])
})

test('an entry that is there already changes nothing', () => {
  const once = setEntry('{"theme":"dark"}', entry)
  assert.equal(setEntry(once, entry), once)
})

test('an entry of this name with another content is replaced alone', () => {
  const text = '{ "mcpServers": { "a": 1, "files": {"command": "old"}, "b": [1, "}"] } }'
  const parsed = JSON.parse(setEntry(text, entry)) as { mcpServers: Record<string, unknown> }
  assert.deepEqual(parsed.mcpServers, { a: 1, files: entry.value, b: [1, '}'] })
})

test('line ends and a byte order mark stay', () => {
  const after = setEntry('\ufeff{\r\n\t"a": 1\r\n}\r\n', entry)
  assert.ok(after.startsWith('\ufeff{\r\n\t"a": 1,\r\n\t"mcpServers": {\r\n\t\t"files"'))
  assert.doesNotMatch(after, /[^\r]\n/)
})

const broken: readonly (readonly [string, string])[] = [
  ['not JSON', '{"mcpServers": {'],
  ['a list', '[]'],
  ['servers that are a list', '{"mcpServers": []}'],
  ['servers twice', '{"mcpServers": {}, "mcpServers": {}}'],
  ['the entry twice', '{"mcpServers": {"files": {}, "files": {}}}'],
]
for (const [what, text] of broken) {
  test(`a file with ${what} is refused and not touched`, async () => {
    const file = join(root, `${what.replaceAll(' ', '-')}.json`)
    await writeFile(file, text)
    await assert.rejects(prepareInstallation(file, entry), { code: 'host_file_invalid', where: file })
    assert.equal(await readFile(file, 'utf8'), text)
  })
}

test('whatever the file holds, the result parses to the same with the entry in it', () => {
  const value = fc.jsonValue({ maxDepth: 3 })
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), value, { maxKeys: 6 }),
      fc.dictionary(fc.string(), value, { maxKeys: 4 }),
      fc.boolean(),
      (rest, servers, spread) => {
        const { mcpServers: _, ...others } = rest
        const document = { ...others, mcpServers: servers }
        const text = JSON.stringify(document, null, spread ? 2 : 0)
        const parsed: unknown = JSON.parse(setEntry(text, entry))
        const expected: unknown = JSON.parse(
          JSON.stringify({ ...document, mcpServers: { ...servers, files: entry.value } }),
        )
        assert.deepEqual(parsed, expected)
      },
    ),
  )
})

test('a new file is private, a replaced one keeps its mode and leaves a backup', async () => {
  const fresh = join(root, 'new', 'mcp.json')
  assert.equal(await install(await prepareInstallation(fresh, entry), now), null)
  assert.equal((await stat(fresh)).mode & 0o777, 0o600)
  const held = join(root, 'held.json')
  await writeFile(held, '{"a": 1}')
  await chmod(held, 0o640)
  const backup = await install(await prepareInstallation(held, entry), now)
  assert.equal(backup, `${held}.doorward-backup-20261103T102030Z`)
  assert.equal(await readFile(backup, 'utf8'), '{"a": 1}')
  assert.equal((await stat(held)).mode & 0o777, 0o640)
})

test('two installations in one second keep two backups', async () => {
  const file = join(root, 'twice.json')
  await writeFile(file, '{}')
  await install(await prepareInstallation(file, entry), now)
  await install(await prepareInstallation(file, { ...entry, name: 'more' }), now)
  const names = (await readdir(root)).filter((name) => name.startsWith('twice.json.doorward-backup'))
  assert.equal(names.length, 2)
})

test('a linked configuration stays a link', async () => {
  const real = join(root, 'dotfiles.json')
  const link = join(root, 'linked.json')
  await writeFile(real, '{}')
  await symlink(real, link)
  await install(await prepareInstallation(link, entry), now)
  assert.match(await readFile(real, 'utf8'), /"files"/)
})

test('a file that has changed since it was shown is not overwritten', async () => {
  const file = join(root, 'raced.json')
  await writeFile(file, '{}')
  const prepared = await prepareInstallation(file, entry)
  await writeFile(file, '{"b": 2}')
  await assert.rejects(install(prepared, now), { code: 'host_file_changed' })
  assert.equal(await readFile(file, 'utf8'), '{"b": 2}')
})

test('the change is shown as lines that go and lines that come', () => {
  assert.deepEqual(lineDiff('a\nb\nc\n', 'a\nx\nc\n'), ['  a', '- b', '+ x', '  c'])
  assert.deepEqual(lineDiff('a\n', 'a\n'), [])
})
