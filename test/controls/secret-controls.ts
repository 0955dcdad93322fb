/** What keeps secrets with those who may have them, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const secrets = 'packages/server/src/apps/credentials/gateway-secrets.ts'
const header = 'packages/server/src/apps/credentials/header-credential.ts'
const sender = 'packages/server/src/transports/server-credential.ts'
const store = 'packages/server/src/secrets/secret-store.ts'

function control(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/server-credentials.test.ts', name: test } }
}

function ofSource(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/contract/secret-source.test.ts', name: test } }
}

export const secretControls: readonly Control[] = [
  control('secrets.servers', 'a secret of another server is not sent, whatever the server asks for', {
    file: secrets,
    from: 'if (known === undefined || !known.settings.servers.includes(server))',
    to: 'if (known === undefined)',
  }),
  control('secrets.roles', 'a secret that is narrowed to roles is sent for callers who have one, and for no other', {
    file: secrets,
    from: 'return roles === null || (principal',
    to: 'return roles !== undefined || (principal',
  }),
  control('secrets.by', 'by roles, the first that fits is taken, and whom none fits is refused', {
    file: header,
    from: '?.secret ?? null\n  }\n}',
    to: '?.secret ?? rows[0]?.secret ?? null\n  }\n}',
  }),
  control('secrets.unsent', 'without a value nothing is sent', {
    file: sender,
    from: "if ('code' in found) return fail(handler, new CredentialError(found))",
    to: "if ('code' in found) return this.#send(request, handler)",
  }),
  control('secrets.header', 'a value that no header can carry is not sent in part', {
    file: header,
    from: 'if (!FIELD_VALUE.test(text))',
    to: "if (text === '')",
  }),
  control(
    'secrets.refused',
    'a server that refuses its credential is told so, and asked no second time with the same',
    {
      file: header,
      from: "if (wish.refused?.use['secret'] === name && ",
      to: "if (wish.refused?.use['secret'] === '' && ",
    },
  ),
  control('secrets.redacted', 'an answer that says the value back is without it, where redact is on', {
    file: header,
    from: '  parts.known.remember(`${name} ${version}`, value)\n',
    to: '',
  }),
  control(
    'secrets.recorded',
    'each use is on record with the name and the version of the secret, and the value nowhere',
    {
      file: sender,
      from: 'if (Object.keys(found.use).length > 0) sender.onUse(found.use)',
      to: 'void sender.onUse',
    },
  ),
  ofSource('secrets.file.mode', 'one that others can read, or anybody else write, is refused', {
    file: 'packages/server/src/secrets/file-source.ts',
    from: '      checkFile(status, path)\n',
    to: '',
  }),
  ofSource('secrets.store.sealed', 'no value is in a file as it is, or in base64', {
    file: store,
    from: 'await writeDurably(this.#path(name), await sealer.seal(utf8(text), contextOf(name)))',
    to: 'await writeDurably(this.#path(name), utf8(text))',
  }),
  ofSource('secrets.store.versions', 'what is put is there after a start, and no version is ever given twice', {
    file: store,
    from: '    this.#sequence = version\n',
    to: '',
  }),
  ofSource('secrets.environment', 'the value is read once, and then it is in no environment of this process', {
    file: 'packages/server/src/config/environment.ts',
    from: '      delete env[name]\n',
    to: '',
  }),
]
