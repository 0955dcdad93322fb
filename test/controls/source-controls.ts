/** What keeps values of vaults and keyrings as fresh and as bounded as is said, each with the change that disables it. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const vault = 'packages/server/src/secrets/vault.ts'
const documents = 'packages/server/src/secrets/vault-source.ts'
const keyring = 'packages/server/src/secrets/keyring-source.ts'

function ofVault(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/contract/secret-source-vault.test.ts', name: test } }
}

function ofKeyring(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/contract/secret-source-keyring.test.ts', name: test } }
}

const once = 'a value is as old as its cache and no older; all who ask at once ask once'
const approle =
  'by AppRole: one login for all, another when the token is refused, none with a secret id that is withdrawn'
const started = 'it is started once for all who ask, and not again while the value is fresh'
const noValue = 'one that waits for its person, is not there or says too much is no value, and no error shows any'

const identities = 'packages/server/src/apps/identities-key.ts'

function ofIdentities(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/unit/server/identities-key.test.ts', name: test } }
}

export const sourceControls: readonly Control[] = [
  ofIdentities(
    'keyring.identities',
    'a keyring that is locked, or that nobody keeps, opens nothing, and no file is read or made in its place',
    {
      file: identities,
      from: 'keyInKeyring(place.file, place.keyring)',
      to: 'keyInKeyring(place.file, place.keyring).catch(() => keyInFile({ ...place, used: () => Promise.resolve(false) }))',
    },
  ),
  ofIdentities(
    'keyring.identities.twice',
    'a key that is in the keyring and in a file as well is refused, whichever it is',
    { file: identities, from: 'if (await isThere(path))', to: 'if (false as boolean)' },
  ),
  ofIdentities(
    'keyring.identities.made',
    'without the setting no keyring is asked, and no new key is made for what there is',
    { file: identities, from: "'key_file_missing') || isUsed)", to: "'key_file_missing'))" },
  ),
  ofVault('vault.age', once, {
    file: documents,
    from: 'if (!fresh && entry.document !== null && now < entry.document.until)',
    to: 'if (!fresh && entry.document !== null)',
  }),
  ofVault('vault.fresh', once, {
    file: documents,
    from: 'if (!fresh && entry.document !== null && now < entry.document.until)',
    to: 'if (entry.document !== null && now < entry.document.until)',
  }),
  ofVault('vault.once', once, {
    file: documents,
    from: '    if (!fresh && entry.reading !== null) return entry.reading\n',
    to: '',
  }),
  ofVault('vault.pause', 'one that fails is not asked by every call', {
    file: documents,
    from: 'if (entry.failure !== null && now < entry.failure.until)',
    to: 'if (entry.failure !== null && now < 0)',
  }),
  ofVault('vault.text', 'what is not there, is deleted, or is no text is told apart', {
    file: documents,
    from: "if (typeof value !== 'string') throw secretUnavailable(`${where} ${field}`, 'no text')",
    to: "if (typeof value !== 'string') return { value: secretText(utf8(JSON.stringify(value)), where), version }",
  }),
  ofVault(
    'vault.replaced',
    'a token file that is replaced counts at once, and one that is refused is asked for no second time',
    {
      file: vault,
      from: "if (auth.kind === 'token' && (await auth.token.read()).version === used.version) return false\n",
      to: '\n',
    },
  ),
  ofVault('vault.renewed', 'a token is renewed at half of its life, used or not', {
    file: vault,
    from: "if (member(data, 'renewable') === true) this.#renewIn(value",
    to: "if (member(data, 'renewable') === 'never') this.#renewIn(value",
  }),
  ofVault('vault.approle', approle, {
    file: vault,
    from: 'if (answer.status !== 403 || ',
    to: 'if (answer.status === 403 || ',
  }),
  ofVault('vault.namespace', 'the namespace is said, and without it nobody is let in', {
    file: vault,
    from: "...(namespace === null ? {} : { 'x-vault-namespace': namespace }),",
    to: '',
  }),
  ofVault(
    'vault.address',
    'an authority that is not named, a private address that is not allowed, and a vault that is gone are refused',
    {
      file: 'packages/server/src/transports/fetch-document.ts',
      from: 'return allowPrivateAddresses || !privateAddresses.check(address, family)',
      to: 'return allowPrivateAddresses || family !== address',
    },
  ),
  ofKeyring(
    'keyring.environment',
    'the program is told which entry, and nothing else; it has the session and no more of the environment',
    { file: keyring, from: 'env: { ...env }, stdio', to: 'env: { ...process.env, ...env }, stdio' },
  ),
  ofKeyring('keyring.once', started, {
    file: keyring,
    from: '(reading ?? begin())',
    to: 'begin()',
  }),
  ofKeyring('keyring.kept', started, {
    file: keyring,
    from: 'if (!fresh && held !== null && now < held.until)',
    to: 'if (!fresh && held !== null && now < 0)',
  }),
  ofKeyring('keyring.patience', noValue, {
    file: keyring,
    from: 'const PATIENCE_MILLISECONDS = 2000',
    to: 'const PATIENCE_MILLISECONDS = 1_000_000',
  }),
  ofKeyring('keyring.pause', noValue, {
    file: keyring,
    from: 'if (failed !== null && now < failed.until)',
    to: 'if (failed !== null && now < 0)',
  }),
  ofKeyring('keyring.windows', 'on Windows it is refused, with what to do', {
    file: keyring,
    from: "if (platform === 'win32')",
    to: "if (platform === 'cygwin')",
  }),
  ofKeyring('keyring.bytes', 'texts come in quotes and bytes in hexadecimal, and what could be either is refused', {
    file: keyring,
    from: "if (text?.includes('\\\\') === true)",
    to: "if (text === '')",
  }),
]
